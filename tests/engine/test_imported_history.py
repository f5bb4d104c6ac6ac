"""Imported history has no limits until an order is judged: an administrative command brings none of the defaults."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from oms_es import OrderManagementSystem, OrderRejected, Settings
from oms_es.audit.redecide import by_command, redecide
from oms_es.audit.replay import replay
from oms_es.domain.events import DayClosed, PolicyChanged
from oms_es.domain.policy import DEFAULTS
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.state import State
from oms_es.vocabulary import CostMethod
from tests.cli.test_cli import Oms
from tests.desk import codes, desk, events_of, facts_file, filled, ruled, submit, submitted, take_in

DAY = "2012-06-21"
ACCOUNTING = {key for key in DEFAULTS if key.startswith(("accounting.", "day."))}
Act = Callable[[OrderManagementSystem], Awaitable[object]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a log of imported history: 50,000 X bought in the night to 2012-06-22, New York's 06-21."""
    path = tmp_path / "day.db"
    lines = submitted(1, "a", "50000", ts="2012-06-22T01:00:00Z"), filled(2, "a", "50000", ts="2012-06-22T01:00:00Z")
    history = facts_file(tmp_path / "f.jsonl", *lines)

    async def run() -> None:
        async with desk(path, settings=ruled(day={"timezone": "America/New_York"})) as oms:
            await take_in(oms, history)

    asyncio.run(run())
    return path


def perform(path: Path, act: Act, settings: Settings | None = None) -> None:
    async def run() -> None:
        async with desk(path, settings=settings) as oms:
            await act(oms)

    asyncio.run(run())


def rules(path: Path) -> list[PolicyChanged]:
    return [event for event in events_of(SqliteLog.existing(path)) if isinstance(event, PolicyChanged)]


def certify(path: Path, method: CostMethod = CostMethod.FIFO) -> None:
    """Check that every command is decided the same again, and that closed days come to their digests."""
    log, state = SqliteLog.existing(path), State(method)
    for group in by_command(log.read()):
        assert redecide(state, group) is None
        state.replay(group)
    assert not any(day.differing for day in replay(log.read(), State(method)).days)


ADMINISTRATIVE: dict[str, Act] = {
    "close_day": lambda oms: oms.close_day(DAY), "record_mark": lambda oms: oms.record_mark("X", 11),
    "define_instrument": lambda oms: oms.define_instrument("Y", multiplier=10), "halt": lambda oms: oms.halt(),
    "resume": lambda oms: oms.resume(), "bust_fill": lambda oms: oms.bust_fill("a", "t2"),
}  # fmt: skip


@pytest.mark.parametrize("name", ADMINISTRATIVE)
def test_an_administrative_command_brings_no_default_limit_to_imported_history(path: Path, name: str) -> None:
    perform(path, ADMINISTRATIVE[name], ruled(day={"timezone": "America/New_York"}))

    (brought,) = rules(path)
    assert set(brought.values) == ACCOUNTING
    certify(path)


def test_the_first_order_after_a_closing_still_brings_the_limits(path: Path) -> None:
    perform(path, lambda oms: oms.record_mark("X", 11))

    async def exceed(oms: OrderManagementSystem) -> None:
        await oms.record_mark("X", 12)
        with pytest.raises(OrderRejected) as refusal:
            await submit(oms, "o-1", symbol="X")
        assert codes(refusal.value.violations) == ["POSITION_SIZE", "POSITION_SKEW"]
        await oms.record_mark("X", 13)

    perform(path, exceed)

    first, second = rules(path)
    assert {**first.values, **second.values} == DEFAULTS
    assert not first.values.keys() & second.values.keys()
    perform(path, lambda oms: oms.record_mark("X", 14))
    assert len(rules(path)) == 2
    certify(path)


def test_a_closing_brings_what_a_settings_file_names_and_says_so(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = ruled(risk={"max_position_size": 500}, day={"timezone": "America/New_York"})
    with caplog.at_level(logging.WARNING, "oms_es"):
        perform(path, lambda oms: oms.close_day(DAY), settings)

    (brought,) = rules(path)
    assert set(brought.values) == {*ACCOUNTING, "risk.max_position_size"}
    assert set(brought.from_file) == {"risk.max_position_size", "day.timezone"}
    assert "risk.max_position_size = 500" in caplog.text
    perform(path, lambda oms: oms.record_mark("X", 11), settings)
    assert len(rules(path)) == 1
    certify(path)


def test_a_closing_without_a_settings_file_warns_of_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "oms_es"):
        perform(path, lambda oms: oms.record_mark("X", 11))

    assert caplog.text == ""


def test_an_order_that_changes_what_a_closing_rests_on_is_reported(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    perform(path, lambda oms: oms.record_mark("X", 11))
    with caplog.at_level(logging.WARNING, "oms_es"):
        perform(path, lambda oms: submit(oms, "o-1", symbol="Y"), ruled(accounting={"method": "lifo"}))

    assert "accounting.method = lifo" in caplog.text
    certify(path)


def test_a_closing_keeps_the_calendar_and_the_cost_method_that_it_rests_on(path: Path) -> None:
    settings = ruled(day={"timezone": "America/New_York"}, accounting={"method": "lifo"})

    perform(path, lambda oms: oms.close_day(DAY), settings)
    perform(path, lambda oms: submit(oms, "o-1", symbol="Y"))

    (closed,) = (event for event in events_of(SqliteLog.existing(path)) if isinstance(event, DayClosed))
    hour = 3_600 * 10**9
    assert closed.begins_at % (24 * hour) == 4 * hour  # midnight in New York
    in_force = State().replay(SqliteLog.existing(path).read()).policies.policy("*")
    assert (in_force.timezone, in_force.method) == ("America/New_York", CostMethod.LIFO)
    certify(path, CostMethod.LIFO)


def test_a_limit_that_is_set_on_imported_history_brings_the_others_of_the_settings(path: Path) -> None:
    perform(path, lambda oms: oms.set_limits(max_position_size=5))

    brought, changed = rules(path)
    assert brought.values == DEFAULTS
    assert changed.values == {"risk.max_position_size": "5"}
    certify(path)


def test_a_log_that_begins_with_a_mark_has_all_rules_at_once(tmp_path: Path) -> None:
    perform(tmp_path / "fresh.db", lambda oms: oms.record_mark("X", 11))

    assert [each.values for each in rules(tmp_path / "fresh.db")] == [DEFAULTS]


def test_a_fill_on_imported_history_is_judged_and_brings_the_settings(path: Path) -> None:
    perform(path, lambda oms: oms.add_fill("v-1", 10, 11, "t-v", symbol="X", side="buy"))

    assert [each.values for each in rules(path)] == [DEFAULTS]
    certify(path)


def test_a_closed_day_of_history_comes_to_its_digests_whatever_the_settings_of_the_reader(tmp_path: Path) -> None:
    oms = Oms(tmp_path / "day.db")
    lines = submitted(1), filled(2), submitted(3, "b", "50", "12", side="sell"), filled(4, "b", "50", "12")
    oms(["import", "facts", str(facts_file(tmp_path / "f.jsonl", *lines))])
    oms(f"close-day {DAY}")
    (tmp_path / "oms.yaml").write_text("accounting: {method: lifo}\nday: {timezone: Asia/Tokyo}\n", encoding="utf-8")
    reader = f"--config {tmp_path / 'oms.yaml'}"

    assert "all as recorded" in oms(f"replay --check {reader}").stderr
    (limits,) = oms.json("limits")["limits"]
    assert set(limits["values"]) == ACCOUNTING
    assert "no order was judged yet" in oms("limits").stderr
