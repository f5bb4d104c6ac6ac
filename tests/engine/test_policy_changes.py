"""Changes of limits and levels: for which account, and who is warned of them."""

import asyncio
import logging
from pathlib import Path

import pytest

from oms_es import InvalidInput
from oms_es.domain.events import PolicyChanged
from tests.desk import ADA, Clock, D, desk, ruled, submit


def test_set_limits_refuses_for_one_account_what_holds_for_the_whole_log(tmp_path: Path) -> None:
    oms = desk(tmp_path / "day.db")
    for changes in ({"timezone": "Asia/Tokyo"}, {"method": "lifo"}, {"max_clock_step": 1}):
        with pytest.raises(InvalidInput, match="applies to every account"):
            asyncio.run(oms.set_limits(account="a", **changes))
    assert not (tmp_path / "day.db").exists()


def test_policy_changes_of_another_process_are_logged_as_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    oms, other = desk(tmp_path / "day.db"), desk(tmp_path / "day.db")

    async def run() -> None:
        await submit(oms)
        await other.set_limits(max_position_size=5, reason="half a day", actor="desk", account="a")
        await other.halt("reduce_only", reason="drill", actor="desk")

    with caplog.at_level(logging.WARNING, logger="oms_es"):
        asyncio.run(run())
        assert caplog.messages == []  # whoever asks for a change knows of it
        oms.get_all_positions()

    assert caplog.messages == [
        "the rules of account a changed: risk.max_position_size = 5 (by desk: half a day)",
        "the trading level of every account is reduce_only (by desk: drill)",
    ]


def test_unchanged_settings_are_not_logged_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = ruled(risk={"max_position_size": 500})
    with caplog.at_level(logging.WARNING, logger="oms_es"):
        for _ in range(2):
            asyncio.run(desk(tmp_path / "day.db", Clock(), rules).record_mark(ADA, 1))
    assert caplog.messages == []


def test_a_log_of_an_earlier_release_records_the_rules_version_that_decides_from_here_on(tmp_path: Path) -> None:
    from tests.golden_days import restore

    restore("ordinary_day", tmp_path / "day.db").close()
    oms = desk(tmp_path / "day.db", Clock())

    for number in range(2):
        asyncio.run(submit(oms, f"n-{number}", price=D(10)))

    told = [each.event for each in oms.log.read(topics={"PolicyChanged"}) if isinstance(each.event, PolicyChanged)]
    assert [(each.rules, each.values == {}) for each in told] == [(1, False), (4, True)]
