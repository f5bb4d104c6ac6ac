"""Closing a trading day: what it takes, what it changes, and that a replay comes to the same digests."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from oms_es.audit.redecide import by_command, redecide
from oms_es.audit.replay import replay
from oms_es.domain.events import DayClosed
from oms_es.errors import DayNotClosable, FillQuarantinedError
from oms_es.importers.facts import Defaults, to_fact
from oms_es.importers.importer import import_facts
from oms_es.log.memory import MemoryLog
from oms_es.projections.state import State
from oms_es.timestamps import instant
from tests.desk import Clock, order_of, work
from tests.desk import desk as oms_over
from tests.trading_desk import TradingDesk

MONDAY = "2024-03-04"
TUESDAY = "2024-03-05"


class Desk(TradingDesk):
    async def trade(self, order_id: str, quantity: int = 10) -> None:
        await self.oms.submit_order("S", "buy", "limit", quantity, 5, order_id)
        await self.oms.add_fill(order_id, quantity, 5, f"t-{order_id}", "0.5")

    def days(self) -> dict[str, int]:
        return {row["trading_day"]: row["fills"] for row in self.oms.pnl()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "day.db", instant(f"{MONDAY}T10:00:00Z"))


async def test_a_day_closed_early_hands_over_to_the_next(desk: Desk) -> None:
    await desk.trade("o-1")
    await desk.oms.close_day(MONDAY, reason="holiday", actor="desk")
    await desk.trade("o-2")

    assert desk.days() == {MONDAY: 1, TUESDAY: 1}
    assert [e.event.forced for e in desk.log.read(topics={"DayClosed"}) if isinstance(e.event, DayClosed)] == [False]


async def test_a_loss_of_a_closed_day_no_longer_counts_against_the_limit(desk: Desk) -> None:
    await desk.oms.set_limits(max_daily_loss="0.4")
    await desk.trade("o-1")
    with pytest.raises(ValueError, match="DAILY_LOSS"):
        await desk.trade("o-2")
    await desk.oms.close_day(MONDAY)
    await desk.trade("o-3")


async def test_a_day_with_fills_in_quarantine_is_closed_only_by_force_and_with_a_reason(desk: Desk) -> None:
    await desk.trade("o-1")
    with pytest.raises(FillQuarantinedError):
        await desk.oms.add_fill("nobody", 1, 1, "t-9")
    with pytest.raises(DayNotClosable, match="wait in quarantine"):
        await desk.oms.close_day(MONDAY)
    with pytest.raises(DayNotClosable, match="give a reason"):
        await desk.oms.close_day(MONDAY, force=True)
    await desk.oms.close_day(MONDAY, force=True, reason="the venue does not answer")

    assert [e.event.forced for e in desk.log.read(topics={"DayClosed"}) if isinstance(e.event, DayClosed)] == [True]


@pytest.mark.parametrize(("day", "why"), [(TUESDAY, "no event is booked"), ("yesterday", "no event is booked")])
def test_a_day_on_which_nothing_is_booked_cannot_be_closed(desk: Desk, day: str, why: str) -> None:
    asyncio.run(desk.trade("o-1"))

    with pytest.raises(DayNotClosable, match=why):
        asyncio.run(desk.oms.close_day(day))


def test_a_day_is_closed_once(desk: Desk) -> None:
    asyncio.run(desk.trade("o-1"))
    asyncio.run(desk.oms.close_day(MONDAY))

    with pytest.raises(DayNotClosable, match="closed before"):
        asyncio.run(desk.oms.close_day(MONDAY))


def test_history_for_a_closed_day_is_refused_and_history_for_another_is_not(desk: Desk) -> None:
    asyncio.run(desk.trade("o-1"))
    asyncio.run(desk.oms.close_day(MONDAY))
    facts = [
        to_fact({"seq": n, "ts": f"{day}T09:00:00Z", "kind": "mark", "symbol": "S", "price": "6"}, n, Defaults())
        for n, day in enumerate(["2024-03-01", MONDAY, TUESDAY])
    ]

    outcome = asyncio.run(import_facts(desk.oms.sequencer, lambda: iter(facts)))

    assert (outcome.events, outcome.refused) == (2, 1)
    assert "closed" in outcome.problems[0].why


async def test_a_closed_day_is_replayed_to_the_digests_it_was_closed_with(desk: Desk) -> None:
    await desk.trade("o-1")
    await desk.oms.submit_order("S", "sell", "limit", 10, 6, "o-2")
    await desk.oms.close_day(MONDAY)
    desk.on(TUESDAY)
    await desk.trade("o-3")

    days = {day.trading_day: day for day in replay(desk.log.read(), check=True).days}

    assert (days[MONDAY].closed, days[MONDAY].differing) == (True, [])
    assert days[TUESDAY].closed is False


@pytest.mark.parametrize(("what", "change"), [
    ("positions", lambda state: state.positions.held.clear()),
    ("limits", lambda state: state.policies.values["*"].update({"risk.max_daily_loss": "7"})),
])  # fmt: skip
def test_a_planted_change_is_found_by_the_digests_of_a_closed_day(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, what: str, change: Callable[[State], None]
) -> None:
    asyncio.run(desk.trade("o-1"))
    asyncio.run(desk.oms.close_day(MONDAY))
    digests = State.closing_digests

    def planted(state: State) -> dict[str, str]:
        change(state)
        return digests(state)

    monkeypatch.setattr(State, "closing_digests", planted)

    (day,) = replay(desk.log.read()).days

    assert what in day.differing


async def test_every_command_around_a_closing_is_decided_the_same_again(desk: Desk) -> None:
    await desk.trade("o-1")
    await desk.oms.close_day(MONDAY)
    await desk.trade("o-2")
    desk.on(TUESDAY, "23:00:00")
    await desk.oms.bust_fill("o-1", "t-o-1")

    state = State()

    for group in by_command(desk.log.read()):
        assert redecide(state, group) is None
        for each in group:
            state.apply(each)
        state.commit()


async def test_a_fact_of_a_closed_day_goes_to_the_open_one_and_is_marked(desk: Desk) -> None:
    await desk.trade("o-1")
    await desk.on(TUESDAY, "08:00:00").close_day(MONDAY)
    await desk.oms.submit_order("S", "buy", "limit", 10, 5, "o-2")
    await desk.oms.add_fill("o-2", 4, 5, "t-2", occurred_at=f"{MONDAY}T23:59:59.999999999Z")
    await desk.oms.add_fill("o-2", 3, 5, "t-3", occurred_at=f"{TUESDAY}T00:00:00Z")
    await desk.oms.record_mark("S", 6, occurred_at=f"{MONDAY}T12:00:00Z")

    told = [each for each in desk.log.read() if getattr(each.event, "late_for", None) is not None]
    assert [(type(each.event).__name__, each.trading_day) for each in told] == [
        ("StateChanged", TUESDAY),
        ("FillAdded", TUESDAY),
        ("MarkRecorded", TUESDAY),
    ]
    assert {each.event.late_for for each in told} == {MONDAY}  # type: ignore[attr-defined]
    order = order_of(desk.oms, "o-2")
    assert [fill["late"] for fill in order.fills] == [True, False]
    seen = replay(desk.log.read(), check=True)
    assert (seen.divergent, [day.late_facts for day in seen.days], seen.days[0].differing) == ([], [0, 3], [])


async def test_what_happens_after_an_early_closing_is_not_late(desk: Desk) -> None:
    await desk.trade("o-1")
    await desk.on(MONDAY, "15:00:00").close_day(MONDAY)
    desk.on(MONDAY, "15:00:01")
    await desk.trade("o-2")
    await desk.on(TUESDAY, "20:00:00").close_day(TUESDAY)
    await desk.oms.record_mark("S", 6, occurred_at=f"{MONDAY}T15:30:00Z")

    marked = [(each.seq, each.event.late_for) for each in desk.log.read() if getattr(each.event, "late_for", None)]  # type: ignore[attr-defined]
    assert marked == [(desk.log.head().seq, TUESDAY)]  # only the mark: its time was booked on Tuesday, closed by then


async def test_an_imported_day_whose_fills_wait_is_not_closed(desk: Desk) -> None:
    order = {"kind": "submit", "symbol": "S", "side": "buy", "order_type": "limit", "qty": "10", "price": "5"}
    fill = {"kind": "fill", "qty": "11", "price": "5", "trade_id": "t"}
    past = "2024-02-01"
    lines = [{"seq": n, "ts": f"{past}T10:00:0{n}Z", "order_id": "i-1", **fact} for n, fact in enumerate((order, fill))]

    await import_facts(desk.oms.sequencer, lambda: iter([to_fact(x, n, Defaults()) for n, x in enumerate(lines)]))
    with pytest.raises(DayNotClosable, match="1 fills"):
        await desk.oms.close_day(past)


async def test_an_imported_day_is_closed_by_the_first_command_of_a_log_and_comes_to_its_digests(desk: Desk) -> None:
    past = "2024-02-01"
    line = {"seq": 1, "ts": f"{past}T10:00:00Z", "kind": "submit", "order_id": "i-1", "symbol": "S", "side": "buy",
            "order_type": "limit", "qty": "10", "price": "5"}  # fmt: skip

    await import_facts(desk.oms.sequencer, lambda: iter([to_fact(line, 1, Defaults())]))
    await desk.oms.close_day(past)

    (day, *_) = replay(desk.log.read()).days
    assert (day.trading_day, day.closed, day.differing) == (past, True, [])


def test_close_day_is_refused_when_a_fill_is_quarantined_in_the_same_transaction() -> None:
    oms = oms_over(MemoryLog(), Clock())

    async def run() -> list[object]:
        await work(oms)
        day = str(oms.sequencer.state.days.rows()[-1]["trading_day"])
        over = oms.add_fill("o-1", 500, 10, "over")
        return list(await asyncio.gather(over, oms.close_day(day), return_exceptions=True))

    assert [type(each) for each in asyncio.run(run())] == [FillQuarantinedError, DayNotClosable]
