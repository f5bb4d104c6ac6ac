"""The quarantine is loud: a callback, a warning at each change, and again while a fill waits."""

import asyncio
import logging
from pathlib import Path

import pytest

from oms_es import FillQuarantinedError, OrderManagementSystem
from oms_es.projections.views import QuarantineChange
from tests.desk import D, ruled

SETTINGS = ruled(
    risk={"max_position_size": None, "max_daily_loss": None, "max_open_orders": None},
    trading={"min_quote_size": None, "max_skew": None},
    system={"quarantine_reminder": 1},
)


async def overfill(oms: OrderManagementSystem, trade: str = "t1") -> str:
    with pytest.raises(FillQuarantinedError) as error:
        await oms.add_fill("o-1", 20, 1, trade)
    return error.value.quarantine_id


async def test_each_change_of_the_quarantine_is_called_back_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[QuarantineChange] = []
    async with OrderManagementSystem(SETTINGS, log=tmp_path / "x.db") as oms:
        oms.add_quarantine_callback(seen.append)
        await oms.submit_order("X", "buy", "limit", 10, 1, "o-1")
        name = await overfill(oms)
        other = await overfill(oms, "t2")
        await oms.resolve_quarantined(name, False, reason="called the venue", actor="desk")
        await oms.sequencer.idle()

        assert [(each.quarantine_id, each.state, each.waiting) for each in seen] == [
            (name, "waiting", 1), (other, "waiting", 2), (name, "rejected", 1),
        ]  # fmt: skip
        assert (seen[0].why, seen[0].trade_id, seen[0].quantity, seen[2].reason) == (
            "overfill", "t1", D(20), "called the venue",
        )  # fmt: skip
        assert oms.get_portfolio_summary()["quarantined"] == 1
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert lines == [
        f"trade t1 of order o-1 is in quarantine as {name}: overfill; 1 in quarantine",
        f"trade t2 of order o-1 is in quarantine as {other}: overfill; 2 in quarantine",
        f"{name} of order o-1 is rejected; 1 in quarantine",
    ]


async def test_a_warning_comes_again_while_a_fill_waits_and_after_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with OrderManagementSystem(SETTINGS, log=tmp_path / "x.db") as oms:
        oms.sequencer._write_model.alerts._every = 0.02  # type: ignore[assignment]
        await oms.submit_order("X", "buy", "limit", 10, 1, "o-1")
        name = await overfill(oms)
        caplog.clear()
        await asyncio.sleep(0.07)
        assert len([each for each in caplog.messages if each.startswith(f"fills wait in quarantine: 1 ({name})")]) >= 2
    caplog.clear()
    async with OrderManagementSystem(SETTINGS, log=tmp_path / "x.db") as oms:
        assert oms.get_order("o-1") is not None
        assert caplog.messages == [f"fills wait in quarantine: 1 ({name}); accept or reject them"]
        await oms.resolve_quarantined(name, False)
        oms.sequencer._write_model.alerts._every = 0.02  # type: ignore[assignment]
        caplog.clear()
        await asyncio.sleep(0.05)
        assert caplog.messages == []
