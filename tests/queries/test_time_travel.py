"""Any moment of any day, by either clock and by every cost method, against the long way in `brute_force.py`."""

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oms_es import OrderManagementSystem, Settings, errors
from oms_es.decimals import text
from oms_es.domain.commands import RecordMark, Request
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.position_state import PositionState
from oms_es.projections.positions import Positions
from oms_es.projections.snapshots.builder import advance
from oms_es.projections.snapshots.positions_at import cache_path
from oms_es.projections.views import OMSOrder, Position, order_view
from oms_es.queries.explain import Why, diff_by_symbol, history, why_positions
from oms_es.queries.queries import AsOf, Queries, narrowed, summed
from oms_es.timestamps import SECOND, instant, iso
from oms_es.vocabulary import CostMethod, Origin
from tests import brute_force
from tests.brute_force import Key, Sums, Told

Figures = tuple[Fraction | None, ...]

D = Decimal
ALFA, BETA, CRUDE = "ALFA", "BETA", "CRUDE"  # CRUDE: 50 EUR for a point; the others are as they come
CALM = {"position_snapshot_interval": 10**12}  # checkpoints come when the test makes them
PASSED_OVER = (
    errors.FillQuarantinedError,
    errors.UnknownFill,
    errors.InvalidTransition,
    errors.OrderRejected,
    errors.InstrumentInUse,
)


class Calendar(NamedTuple):
    """How a desk counts its days, and an evening before something happens to its clocks."""

    timezone: str
    roll: str
    label: str
    begin: str


CALENDARS = (
    Calendar("UTC", "00:00", "start", "2024-02-28T20:00:00Z"),
    Calendar("America/New_York", "17:00", "end", "2024-03-09T15:00:00Z"),  # an hour is skipped in the night
    Calendar("Europe/Berlin", "02:30", "start", "2024-03-30T20:00:00Z"),  # and the roll with it
    Calendar("Europe/Berlin", "02:30", "end", "2024-10-26T20:00:00Z"),  # here it comes twice
)


class Step(NamedTuple):
    """Something that happens on a desk; a step takes of it what it needs."""

    wait: int  # seconds since the step before
    kind: str
    pick: int  # which of the orders, fills, … there are
    account: str
    symbol: str
    side: str
    quantity: str
    price: str
    fee: str
    late: int  # seconds between the venue's moment and now


FEWER = settings(max_examples=settings().max_examples // 2)
KINDS = "wait trade trade trade trade trade trade part part part more more mark mark again conflict overfill stranger "
KINDS += "unnamed bust bust correct correct accept accept refuse amend acknowledge cancel redefine redefine"
STEPS = st.lists(
    st.builds(
        Step,
        wait=st.sampled_from((0, 0, 1, 90, 2_400, 18_000, 50_000)),
        kind=st.sampled_from(KINDS.split()),
        pick=st.integers(0, 40),
        account=st.sampled_from(("main", "main", "hedge")),
        symbol=st.sampled_from((ALFA, ALFA, BETA, CRUDE)),
        side=st.sampled_from(("buy", "sell")),
        quantity=st.sampled_from(("1", "2", "3", "7", "10", "0.3", "12.5", "0.000000001")),
        price=st.sampled_from(("100", "99.5", "101.01", "97", "103.333333333333333333", "-4", "0")),
        fee=st.sampled_from(("0", "0.25", "-0.1", "1.01")),
        late=st.sampled_from((0, 0, 0, -2, 1, 45, 3_000, 40_000)),
    ),
    min_size=12,
    max_size=36,
)


class Desk:
    """A desk that does what it is told, at its own time; what the system refuses is passed over."""

    def __init__(self, path: Path, calendar: Calendar = CALENDARS[0], **rules: dict[str, Any]) -> None:
        day = {"timezone": calendar.timezone, "roll": calendar.roll, "label": calendar.label}
        unlimited = {
            "risk": {"max_position_size": None, "max_daily_loss": None, "max_open_orders": None},
            "trading": {"min_quote_size": None, "max_skew": None},
            "fills": {"price_band": None},
            "system": CALM,
            "day": day,
        }
        self.settings = Settings.from_mapping({**unlimited, **rules})
        self.path, self.now = path, instant(calendar.begin)
        self.oms, self.log = self.opened()
        self.orders: list[str] = []
        self.fills: list[dict[str, Any]] = []
        self.waiting: list[str] = []

    def opened(self) -> tuple[OrderManagementSystem, SqliteLog]:
        """Return the system over a log of its own, as after a restart."""
        log = SqliteLog(self.path, durability="normal")
        return OrderManagementSystem(self.settings, log=log, clock=lambda: self.now), log

    def play(self, steps: Sequence[Step], after: Callable[[int], object] = lambda _: None) -> None:
        """Carry out the steps; `after` is called with the number of each."""
        asyncio.run(self._play(steps, after))

    async def _play(self, steps: Sequence[Step], after: Callable[[int], object]) -> None:
        await self.oms.define_instrument(CRUDE, multiplier=50, currency="EUR")
        for number, step in enumerate(steps):
            self.now += step.wait * SECOND
            with suppress(*PASSED_OVER):
                await self._do(step)
            after(number)

    async def _do(self, step: Step) -> None:
        occurred_at = self.now - step.late * SECOND
        match step.kind:
            case "trade" | "part":
                await self._trade(step, "3" if step.kind == "part" else "1")
            case "mark":
                await self.oms.record_mark(step.symbol, step.price, occurred_at=min(self.now, occurred_at))
            case "redefine":
                await self._redefine(step)
            case "stranger":
                order_id = f"s-{len(self.orders)}"
                await self._fill(step, order_id, f"x-{len(self.fills)}", symbol=step.symbol, side=step.side)
            case "unnamed":
                await self._fill(step, f"u-{len(self.waiting)}", None)
            case "more" if self.orders:
                await self._fill(step, self.orders[step.pick % len(self.orders)], f"t-{len(self.fills)}")
            case "amend" | "acknowledge" | "cancel" if self.orders:
                await self._change(step, self.orders[step.pick % len(self.orders)])
            case "again" | "conflict" | "overfill" | "bust" | "correct" if self.fills:
                await self._restate(step, self.fills[step.pick % len(self.fills)])
            case "accept" | "refuse" if self.waiting:
                name = {"symbol": step.symbol, "side": step.side} if step.pick % 2 else {}
                with suppress(errors.InvalidInput, errors.UnknownQuarantine):  # nameless, or decided before
                    quarantine_id = self.waiting[step.pick % len(self.waiting)]
                    await self.oms.resolve_quarantined(quarantine_id, step.kind == "accept", **name)
            case _:
                pass

    async def _redefine(self, step: Step) -> None:
        """Make everybody flat in the symbol, and another instrument of it."""
        for held in self.oms.get_all_positions():
            if held.symbol == step.symbol and held.quantity:
                side = "sell" if held.quantity > 0 else "buy"
                await self._trade(
                    step._replace(account=held.account, side=side, quantity=text(abs(held.quantity))), "1"
                )
        currency = ("USD", "EUR")[step.pick % 2]
        await self.oms.define_instrument(step.symbol, multiplier=(1, 10, 50)[step.pick % 3], currency=currency)

    async def _trade(self, step: Step, times: str) -> None:
        order_id = f"o-{len(self.orders)}"
        self.orders.append(order_id)
        quantity = D(step.quantity) * D(times)
        at: dict[str, Any] = {"account": step.account, "occurred_at": self.now - max(0, step.late) * SECOND}
        await self.oms.submit_order(step.symbol, step.side, "market", quantity, None, order_id, **at)
        await self._fill(step, order_id, f"t-{len(self.fills)}" if step.pick else None)

    async def _fill(self, step: Step, order_id: str, trade_id: str | None, **what: Any) -> None:
        fill = {"order_id": order_id, "trade_id": trade_id, "fill_quantity": step.quantity, "fill_price": step.price,
                "fee": step.fee, **what}  # fmt: skip
        if trade_id is not None:
            self.fills.append(fill)
        await self._report(**fill, occurred_at=self.now - step.late * SECOND)

    async def _report(self, **fill: Any) -> None:
        try:
            await self.oms.add_fill(**fill)
        except errors.FillQuarantinedError as error:
            self.waiting.append(error.quarantine_id)
            raise

    async def _change(self, step: Step, order_id: str) -> None:
        if step.kind == "amend":
            await self.oms.amend_order(order_id, quantity=step.quantity)
        elif step.kind == "cancel":
            await self.oms.cancel_order(order_id)
        else:
            await self.oms.update_order_state(order_id, "working", occurred_at=self.now - step.late * SECOND)

    async def _restate(self, step: Step, fill: dict[str, Any]) -> None:
        order_id, trade_id = fill["order_id"], fill["trade_id"]
        occurred_at = self.now - step.late * SECOND
        if step.kind == "bust":
            await self.oms.bust_fill(order_id, trade_id, occurred_at=occurred_at)
        elif step.kind == "correct":
            new = {"fill_price": step.price, "fee": step.fee}
            if step.pick % 3 == 0:
                new["fill_quantity"] = step.quantity
            await self._correct(order_id, trade_id, occurred_at=occurred_at, **new)
        elif step.kind == "overfill":
            await self._report(**{**fill, "trade_id": f"over-{len(self.waiting)}", "fill_quantity": "1000"})
        else:
            other = {} if step.kind == "again" else {"fill_price": step.price}
            await self._report(**{**fill, **other}, occurred_at=occurred_at)

    async def _correct(self, order_id: str, trade_id: str, **new: Any) -> None:
        try:
            await self.oms.correct_fill(order_id, trade_id, **new)
        except errors.FillQuarantinedError as error:
            self.waiting.append(error.quarantine_id)
            raise

    def told(self) -> list[Told]:
        """Return what the log holds, as the second opinion reads it."""
        return brute_force.told(self.log.rows())


@contextmanager
def desk(calendar: Calendar = CALENDARS[0], **rules: dict[str, Any]) -> Iterator[Desk]:
    """Give a desk over a file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = Desk(Path(folder) / "day.db", calendar, **rules)
        try:
            yield made
        finally:
            made.oms.sequencer.close()


# --- moments ---

PICKS = st.lists(
    st.tuples(
        st.sampled_from(("as_of", "known_at", "as_of known_at", "at_seq", "as_of at_seq")),
        st.integers(0, 400),
        st.integers(0, 400),
    ),
    min_size=3,
    max_size=6,
)


def moments(events: Sequence[Told], picks: Sequence[tuple[str, int, int]]) -> Iterator[dict[str, Any]]:
    """Return moments to ask about: those of the events and the nanoseconds beside them, by either clock."""
    said = {moment for each in events for moment in (each.effective_at, each.recorded_at)}
    instants = sorted(moment + beside for moment in said for beside in (-1, 0, 1))
    for names, one, other in picks:
        numbers = {"as_of": instants[one % len(instants)], "known_at": instants[other % len(instants)],
                   "at_seq": other % (len(events) + 2)}  # fmt: skip
        yield {name: numbers[name] for name in names.split()}


def until(events: Sequence[Told], when: Mapping[str, int]) -> int:
    """Return the last event that an answer for this moment rests on."""
    known = brute_force.known_by(events, when["known_at"]) if "known_at" in when else brute_force.FAR
    return min(known, when.get("at_seq", known))


def seen(found: Iterable[Position]) -> dict[Key, Figures]:
    """Return positions as the second opinion counts them."""
    return {
        (each.account, each.symbol, each.currency): fractions(
            each.quantity, each.cost_basis, each.gross_realized_pnl, each.fees, each.mark_price, each.unrealized_pnl
        )
        for each in found
    }


def right(sums: Mapping[Key, Sums]) -> dict[Key, Figures]:
    """Return what `seen` should be."""
    return {
        key: (each.quantity, each.cost_basis, each.gross, each.fees, each.mark, each.unrealized)
        for key, each in sums.items()
    }


def fractions(*numbers: Decimal | None) -> Figures:
    return tuple(None if number is None else Fraction(number) for number in numbers)


def check(found: Mapping[Any, Figures], wanted: Mapping[Any, Figures], method: CostMethod) -> None:
    """Compare figures: by average cost within what its one division may round off, otherwise to the last digit."""
    if method is not CostMethod.AVERAGE:
        assert found == wanted
        return
    assert found.keys() == wanted.keys()
    for key, figures in wanted.items():
        assert all(map(near, found[key], figures)), (key, found[key], figures)


def near(one: Fraction | None, other: Fraction | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= max(abs(other) / 10**12, Fraction(1, 10**15))


# --- positions ---


@pytest.mark.parametrize("checkpoints", [False, True], ids=["from zero", "from checkpoints"])
@given(steps=STEPS, picks=PICKS, every=st.integers(1, 7), stops=st.sets(st.integers(0, 35), max_size=3))
def test_positions_at_any_moment_are_what_the_long_way_says(
    checkpoints: bool, steps: list[Step], picks: list[tuple[str, int, int]], every: int, stops: set[int]
) -> None:
    with desk() as day:
        day.play(steps, lambda number: advance(day.log, every) if checkpoints and number in stops else None)
        events = day.told()

        assert cache_path(day.log).exists() == (checkpoints and any(stop < len(steps) for stop in stops))
        for when in moments(events, picks):
            for method in CostMethod:
                found = day.oms.positions(**when, method=method)
                wanted = brute_force.positions(events, method, until(events, when), when.get("as_of"))
                check(seen(found), right(wanted), method)
                exact = method is not CostMethod.AVERAGE  # its one division rounds, of several multipliers too
                averages = [(each.avg_price, average(each, wanted)) for each in found]
                assert all(one == other if exact else near(Fraction(one), Fraction(other)) for one, other in averages)


def average(held: Position, sums: Mapping[Key, Sums]) -> Decimal:
    """Return cost basis by units, rounded half-even at 18 places; 0 when flat."""
    size = sums[held.account, held.symbol, held.currency].units
    return D(round(Fraction(held.cost_basis) / size * 10**18) if size else 0).scaleb(-18)


@given(steps=STEPS, picks=PICKS, stop=st.integers(0, 35))
@FEWER
def test_orders_at_any_moment_are_what_their_events_say(
    steps: list[Step], picks: list[tuple[str, int, int]], stop: int
) -> None:
    with desk() as day:
        day.play(steps, lambda number: advance(day.log, 2) if number == stop else None)
        events = day.told()

        for when in moments(events, picks):
            found = day.oms.orders(**when)
            wanted = brute_force.orders(events, until(events, when), when.get("as_of", brute_force.FAR))
            assert {(each.account, each.order_id): stands(each) for each in found} == wanted
            for each in found:
                named = Queries(day.log).orders_named(each.order_id, each.account, found.basis)
                assert order_view(named.orders.committed[each.account, each.order_id]) == each
            queries, basis = Queries(day.log), found.basis
            assert queries.waiting(basis) == queries.orders(basis).all_waiting()
            for symbol in {each.symbol for each in found}:
                rows = narrowed(queries.fills(basis), symbol, None)
                assert list(queries.fills(basis, symbol)) == rows


def stands(order: OMSOrder) -> brute_force.Stands:
    figures = map(Fraction, (order.quantity, order.filled_quantity, order.fees))
    return brute_force.Stands(order.state.value, *figures)


@given(steps=STEPS)
@FEWER
def test_realized_and_unrealized_is_cash_and_worth_to_the_last_digit_after_every_event(steps: list[Step]) -> None:
    with desk() as day:
        day.play(steps)
        events = day.told()

        for method in CostMethod:
            positions = Positions(method)
            for recorded in day.log.read(topics=Positions.topics()):
                positions.replay([recorded])
                booked = brute_force.standing(events, recorded.seq, None)
                for row in positions.rows():
                    key = (row["account"], row["symbol"], row["currency"])
                    cash = -sum(fill.quantity * fill.worth + fill.fee for fill in booked if fill.key == key)
                    earned, mark = Fraction(row["realized_pnl"]), row["mark_price"]
                    if mark is None:
                        assert earned - Fraction(row["cost_basis"]) == cash
                        continue
                    worth = Fraction(mark) * brute_force.units([f for f in booked if f.key == key], method)
                    several = len({fill.multiplier for fill in booked if fill.key == key}) > 1
                    if method is CostMethod.AVERAGE and several:
                        assert near(earned + Fraction(row["unrealized_pnl"]), cash + worth)
                        continue
                    assert earned + Fraction(row["unrealized_pnl"]) == cash + worth


@pytest.mark.parametrize(
    ("method", "trades", "left", "realized"),
    [
        (CostMethod.FIFO, "+10@1 +10@2 -15@3", "5@2", 25),
        (CostMethod.LIFO, "+10@1 +10@2 -15@3", "5@1", 20),
        (CostMethod.AVERAGE, "+10@1 +10@2 -15@3", "5@3/2", Fraction(45, 2)),
        (CostMethod.FIFO, "+10@1 -15@3", "-5@3", 20),
        (CostMethod.LIFO, "-10@5 -10@3 +25@4", "5@4", 0),
        (CostMethod.AVERAGE, "+1@1 +2@2 -1@2 -2@2", "", 1),
    ],
)
def test_the_long_way_is_right_by_hand(method: CostMethod, trades: str, left: str, realized: Fraction) -> None:
    lots, gains = brute_force.fold([figures(each) for each in trades.split()], method)

    assert ([tuple(lot) for lot in lots], sum(gains)) == ([figures(each) for each in left.split()], realized)


def figures(words: str) -> tuple[Fraction, Fraction]:
    quantity, _, price = words.partition("@")
    return Fraction(quantity), Fraction(price)


# --- what is true, and what was known ---


def at(clock: str, moment: object) -> dict[str, Any]:
    """Return the words of a question about a moment."""
    return {clock: moment}


async def trade(day: Desk, side: str, quantity: int, price: int, late: float = 0, **what: Any) -> str:
    """Submit an order and fill it `late` seconds ago; return its id, which is also the trade's."""
    symbol, account, fee = what.get("symbol", ALFA), what.get("account"), what.get("fee", 0)
    at, order_id = day.now - int(late * SECOND), f"o-{len(day.orders)}"
    day.orders.append(order_id)
    await day.oms.submit_order(symbol, side, "market", quantity, None, order_id, account=account, occurred_at=at)
    await day.oms.add_fill(order_id, quantity, price, order_id, fee, account=account, occurred_at=at)
    return order_id


async def mark_ahead(day: Desk, price: int, seconds: int) -> None:
    """Import a mark of a moment that our clock has not reached; history keeps its own times."""
    mark = RecordMark(symbol=ALFA, price=D(price))
    request = Request(command=mark, occurred_at=day.now + seconds * SECOND, origin=Origin.IMPORT)
    await day.oms.sequencer.perform(request)


async def bought_and_sold_and_heard_of_an_earlier_purchase(day: Desk) -> None:
    await trade(day, "buy", 10, 100)
    day.now += 600 * SECOND
    await trade(day, "sell", 10, 110)
    day.now += 3_000 * SECOND
    await trade(day, "buy", 5, 90, late=4_200)  # executed before the others


@pytest.mark.parametrize(
    ("method", "view", "cost", "realized"),
    [
        ("fifo", "known", "450", "100"),  # 10@100 closed by 10@110; then 5@90 came
        ("fifo", "as of", "500", "150"),  # 5@90 and 5@100 closed; 5@100 left
        ("lifo", "known", "450", "100"),
        ("lifo", "as of", "450", "100"),  # 10@100 closed; 5@90 left
        ("average", "known", "450", "100"),
        ("average", "as of", "483.333333333333333333", "133.333333333333333333"),  # 10 of 15@96.66… closed
    ],
)
def test_a_late_fill_is_booked_last_as_known_and_first_as_of(method: str, view: str, cost: str, realized: str) -> None:
    with desk() as day:
        asyncio.run(bought_and_sold_and_heard_of_an_earlier_purchase(day))

        (held,) = day.oms.positions(**at("as_of" if view == "as of" else "known_at", day.now), method=method)

        assert (held.quantity, held.cost_basis, held.gross_realized_pnl) == (D(5), D(cost), D(realized))


def test_both_moments_at_once_ask_what_was_true_as_far_as_it_was_known() -> None:
    with desk() as day:
        begin = day.now
        asyncio.run(bought_and_sold_and_heard_of_an_earlier_purchase(day))
        early, late = begin - 1, begin + 700 * SECOND

        assert [each.quantity for each in day.oms.positions(as_of=early)] == [5]
        assert day.oms.positions(as_of=early, known_at=late) == []
        assert [each.quantity for each in day.oms.positions(as_of=late)] == [5]
        assert [each.quantity for each in day.oms.positions(as_of=late, known_at=late)] == [0]


def test_an_event_of_that_very_nanosecond_is_included() -> None:
    with desk() as day:
        for _ in range(3):
            asyncio.run(trade(day, "buy", 1, 100))  # the clock stands still

        for name in ("as_of", "known_at"):
            assert [each.quantity for each in day.oms.positions(**at(name, day.now))] == [3]
            assert day.oms.positions(**at(name, day.now - 1)) == []


def test_a_moment_may_be_given_as_a_number_as_text_and_as_a_datetime() -> None:
    with desk(Calendar("UTC", "00:00", "start", "2024-03-04T09:00:00Z")) as day:
        asyncio.run(trade(day, "buy", 1, 100))

        texts = ("2024-03-04T09:00:00Z", "2024-03-04T10:00:00.000000000+01:00")
        west = timezone(-timedelta(hours=5))

        for same in (day.now, *texts, datetime(2024, 3, 4, 9, tzinfo=UTC), datetime(2024, 3, 4, 4, tzinfo=west)):
            assert day.oms.positions(as_of=same) == day.oms.positions(as_of=day.now) != []


@pytest.mark.parametrize(
    "zoneless",
    ["2024-03-04T09:00:00", "2024-03-04 09:00", datetime(2024, 3, 4, 9), "2024-03-04", "now", "", 1.5, True],  # noqa: DTZ001
)
@pytest.mark.parametrize("clock", ["as_of", "known_at"])
def test_a_moment_without_a_zone_is_refused(clock: str, zoneless: object) -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 1, 100))

        for ask in (day.oms.positions, day.oms.orders, day.oms.pnl):
            with pytest.raises(errors.InvalidInput, match=clock):
                ask(**at(clock, zoneless))


@pytest.mark.parametrize("seq", [-1, "5", 2.5, True])
def test_a_seq_that_cannot_be_is_refused(seq: Any) -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 1, 100))

        with pytest.raises(errors.InvalidInput, match="at_seq"):
            day.oms.positions(at_seq=seq)


def test_two_names_for_what_was_known_are_one_too_many() -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 1, 100))

        with pytest.raises(errors.InvalidInput, match="at_seq and known_at"):
            day.oms.positions(at_seq=1, known_at=day.now)


@pytest.mark.parametrize("checkpoints", [False, True])
def test_before_the_beginning_nothing_was_held(checkpoints: bool) -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 1, 100))
        if checkpoints:
            advance(day.log, every=1)

        early = instant("1990-01-01T00:00:00Z")
        for when in ({"as_of": early}, {"known_at": early}, {"at_seq": 0}, {"as_of": early, "at_seq": 0}):
            for ask in (day.oms.positions, day.oms.orders, day.oms.pnl):
                answer = ask(**when)  # type: ignore[arg-type]
                assert (list(answer), answer.basis.past_end) == ([], False)


def test_a_log_that_is_not_there_yet_holds_nothing() -> None:
    with desk() as day:
        assert (day.oms.positions(), day.oms.orders(as_of=day.now), day.oms.pnl(at_seq=7)) == ([], [], [])
        assert not day.path.exists()


def test_a_moment_past_the_end_of_the_log_says_so() -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 1, 100))
        last = day.log.head().seq

        for name, end in (("as_of", day.now), ("known_at", day.now), ("at_seq", last)):
            end_of_it, after = (day.oms.positions(**at(name, moment)) for moment in (end, end + 1))
            assert (end_of_it.basis.past_end, after.basis.past_end) == (False, True)
            assert end_of_it == after
            assert (after.basis.seq, after.basis.log_seq) == (last, last)


def test_a_moment_is_not_past_the_end_while_the_log_holds_something_later() -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 1, 100))
        asyncio.run(mark_ahead(day, 100, 4))
        day.now += SECOND
        asyncio.run(day.oms.record_mark(BETA, 100))

        before, after = (day.oms.positions(as_of=day.now + ahead * SECOND) for ahead in (2, 3))

        assert ([each.mark_price for each in before], [each.mark_price for each in after]) == ([None], [D(100)])
        assert not before.basis.past_end
        assert not after.basis.past_end


@pytest.mark.parametrize("late", [99, 150])
def test_however_many_late_events_come_last_the_end_of_the_log_is_its_latest_moment(late: int) -> None:
    async def mark_earlier_moments(day: Desk) -> None:
        asked = (day.oms.record_mark(ALFA, 100, occurred_at=day.now - 3_600 * SECOND + each) for each in range(late))
        await asyncio.gather(*asked)

    with desk() as day:
        asyncio.run(trade(day, "buy", 1, 100))
        asyncio.run(mark_earlier_moments(day))

        ends = [day.oms.positions(as_of=day.now + after).basis.past_end for after in (-1_800 * SECOND, 0, 1)]

        assert ends == [False, False, True]


# --- marks ---


@given(steps=STEPS, picks=PICKS)
@FEWER
def test_a_mark_is_never_later_than_the_moment(steps: list[Step], picks: list[tuple[str, int, int]]) -> None:
    with desk() as day:
        day.play(
            [*steps, *(step._replace(kind="mark", symbol=symbol) for step in steps[:6] for symbol in (ALFA, BETA))]
        )
        events = day.told()
        times: dict[tuple[str, Fraction], list[int]] = {}
        for each in events:
            if each.topic == "MarkRecorded":
                times.setdefault((each.stream[1], Fraction(each.body["price"])), []).append(each.effective_at)

        for when in moments(events, picks):
            moment = when.get("as_of", when.get("known_at", brute_force.FAR))
            for held in day.oms.positions(**when):
                if held.mark_price is None:
                    assert held.unrealized_pnl is None
                else:
                    assert min(times[held.symbol, Fraction(held.mark_price)]) <= moment


def test_an_imported_mark_ahead_of_our_clock_counts_from_its_own_moment_on() -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 1, 100))
        asyncio.run(mark_ahead(day, 200, 3))

        for clock in ("as_of", "known_at"):
            marks = [day.oms.positions(**at(clock, day.now + after * SECOND))[0].mark_price for after in (0, 3)]
            assert (clock, marks) == (clock, [None, 200])


def test_without_a_mark_there_is_no_number() -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 1, 100))
        day.now += SECOND
        asyncio.run(day.oms.record_mark(BETA, 7))

        (held,) = day.oms.positions()
        (brought,) = day.oms.pnl()
        summary = day.oms.get_portfolio_summary()

        assert (held.mark_price, held.unrealized_pnl, brought["unrealized_pnl"]) == (None, None, None)
        assert (summary["total_unrealized_pnl"], summary["positions"][0]["mark_price"]) == (None, None)


# --- trading days ---


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: " ".join(calendar[:3]))
@given(steps=STEPS, picks=PICKS, every=st.integers(1, 2), stops=st.sets(st.integers(0, 35), max_size=3))
@settings(max_examples=settings().max_examples // 4)
def test_each_trading_day_brought_what_the_long_way_says(
    calendar: Calendar, steps: list[Step], picks: list[tuple[str, int, int]], every: int, stops: set[int]
) -> None:
    with desk(calendar) as day:
        day.play(steps, lambda number: advance(day.log, every) if number in stops else None)
        events = day.told()

        for each in events:
            assert each.trading_day == brute_force.trading_day(each.recorded_at, *calendar[:3]), iso(each.recorded_at)
        for when in moments(events, picks):
            for method in CostMethod:
                rows = day.oms.pnl(**when, method=method)
                wanted = brute_force.days(events, method, until(events, when), when.get("as_of"))
                found = {
                    (row["trading_day"], row["account"], row["symbol"], row["currency"]): fractions(
                        row["gross_realized_pnl"], row["fees"], row["realized_pnl"], D(row["fills"])
                    )
                    for row in rows
                }
                quiet = (found.keys() - wanted.keys()) & {key for key, own in found.items() if not any(own)}
                check(
                    {key: own for key, own in found.items() if key not in quiet},  # only marks have moved there
                    {
                        key: (own.gross, own.fees, own.gross - own.fees, Fraction(own.fills))
                        for key, own in wanted.items()
                    },
                    method,
                )


@pytest.mark.parametrize("view", ["known", "as of"])
@given(steps=STEPS, picks=PICKS)
@settings(FEWER, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # small examples stand below, by hand
def test_what_the_days_brought_adds_up_to_what_is_held(
    view: str, steps: list[Step], picks: list[tuple[str, int, int]]
) -> None:
    clock = "as_of" if view == "as of" else "known_at"
    with desk() as day:
        day.play(steps, lambda number: advance(day.log, 1) if number == len(steps) // 2 else None)

        for when in (*moments(day.told(), [(clock, *pick[1:]) for pick in picks]), at(clock, day.now)):
            for held in day.oms.positions(**when):
                found = day.oms.pnl(**when, symbol=held.symbol, account=held.account)
                rows = [row for row in found if row["currency"] == held.currency]
                realized, level = Fraction(held.realized_pnl), Fraction(held.unrealized_pnl or 0)
                assert total(rows, "realized_pnl") == realized
                assert total(rows, "unrealized_change") == level
                assert total(rows, "total_pnl") == realized + level
                assert Fraction(rows[-1]["unrealized_pnl"] or 0) == level


def total(rows: Iterable[Mapping[str, Any]], name: str) -> Fraction:
    """Return a column added up; not by sum() of decimals, which would round."""
    return sum((Fraction(row[name]) for row in rows), brute_force.ZERO)


TWO_DAYS = Calendar("UTC", "00:00", "start", "2024-03-04T10:00:00Z")
HOUR = 3_600


async def a_purchase_between_two_marks_that_is_told_a_day_later(day: Desk) -> None:
    await day.oms.record_mark(ALFA, 100)
    await trade(day, "buy", 1, 100)
    day.now += HOUR * SECOND
    await day.oms.record_mark(ALFA, 110)
    day.now += 24 * HOUR * SECOND
    await trade(day, "buy", 1, 104, late=24.5 * HOUR)
    day.now += HOUR * SECOND
    await day.oms.record_mark(ALFA, 120)


def test_a_fill_told_a_day_late_changes_no_level_twice() -> None:
    with desk(TWO_DAYS) as day:
        asyncio.run(a_purchase_between_two_marks_that_is_told_a_day_later(day))

        known, true = day.oms.pnl(), day.oms.pnl(as_of=day.now)

        assert [(row["unrealized_pnl"], row["unrealized_change"]) for row in known] == [(10, 10), (36, 26)]
        assert true[-1]["unrealized_pnl"] == 36
        assert sum(row["unrealized_change"] for row in true) == 36


def test_the_level_of_the_last_day_is_that_of_the_position() -> None:
    with desk(TWO_DAYS) as day:
        asyncio.run(day.oms.record_mark(ALFA, 110))
        day.now += 24 * HOUR * SECOND
        asyncio.run(trade(day, "buy", 1, 100, late=25 * HOUR))  # executed before the mark, told a day later

        for when in ({}, {"as_of": day.now}):
            (held,) = day.oms.positions(**when)  # type: ignore[arg-type]
            assert held.unrealized_pnl == 10
            assert day.oms.pnl(**when)[-1]["unrealized_pnl"] == 10  # type: ignore[arg-type]


async def sold_at_110_and_a_day_later_restated(day: Desk, restate: str) -> None:
    await trade(day, "buy", 10, 100, fee=1)
    sold = await trade(day, "sell", 10, 110, fee=1)
    day.now += 24 * HOUR * SECOND
    if restate == "bust":
        await day.oms.bust_fill(sold, sold)
    else:
        await day.oms.correct_fill(sold, sold, fill_price=105, fee=2)


@pytest.mark.parametrize(
    ("restate", "known", "true"),
    [  # trading day, gross, fees, fills
        (
            "bust",
            [("2024-03-04", 100, 2, 2), ("2024-03-05", -100, -1, -1)],
            [("2024-03-04", 0, 1, 1)],
        ),
        (
            "correct",
            [("2024-03-04", 100, 2, 2), ("2024-03-05", -50, 1, 0)],
            [("2024-03-04", 50, 3, 2)],
        ),
    ],
)
def test_a_restatement_is_booked_on_its_day_as_known_and_on_the_fills_day_as_of(
    restate: str, known: list[tuple[str, int, int, int]], true: list[tuple[str, int, int, int]]
) -> None:
    with desk(TWO_DAYS) as day:
        asyncio.run(sold_at_110_and_a_day_later_restated(day, restate))

        for when, wanted in (({}, known), ({"as_of": day.now}, true)):
            rows = day.oms.pnl(**when)  # type: ignore[arg-type]
            found = [(row["trading_day"], row["gross_realized_pnl"], row["fees"], row["fills"]) for row in rows]
            assert found == wanted
            assert [row["realized_pnl"] for row in rows] == [gross - fees for _, gross, fees, _ in wanted]


# --- restart ---


@given(steps=STEPS)
@FEWER
def test_a_restart_changes_no_answer(steps: list[Step]) -> None:
    with desk(system={**CALM, "order_history_retention": 10**9}) as day:
        day.play(steps)
        again, log = day.opened()

        assert answers(again) == answers(day.oms)
        assert seen(again.get_all_positions()) == right(brute_force.positions(day.told(), CostMethod.FIFO))
        log.close()


def test_what_another_process_adds_to_an_order_that_has_left_memory_counts_once() -> None:
    with desk(system={**CALM, "order_history_retention": 60}) as day:
        asyncio.run(day.oms.submit_order(ALFA, "buy", "market", 100, None, "o-1"))
        asyncio.run(day.oms.cancel_order("o-1"))
        day.now += 200 * SECOND
        asyncio.run(day.oms.record_mark(ALFA, 10))
        other, log = day.opened()

        asyncio.run(other.add_fill("o-1", 40, 10, "t-1"))  # late

        for oms in (other, day.oms):
            order = oms.get_order("o-1")
            assert order is not None
            assert (order.filled_quantity, len(order.fills)) == (D(40), 1)
        log.close()


def test_an_order_that_left_memory_and_was_opened_again_by_another_process_counts_against_the_limits() -> None:
    with desk(system={**CALM, "order_history_retention": 60}, risk={"max_position_size": 100}) as day:
        bought = asyncio.run(trade(day, "buy", 90, 10))
        day.now += 200 * SECOND
        asyncio.run(day.oms.record_mark(ALFA, 10))
        other, log = day.opened()

        asyncio.run(other.bust_fill(bought, bought))  # all 90 are open again

        assert day.oms.risk_manager.open_order_count == 1
        with pytest.raises(errors.OrderRejected, match="POSITION_SIZE"):
            asyncio.run(day.oms.submit_order(ALFA, "buy", "market", 90))
        log.close()


def answers(oms: OrderManagementSystem) -> tuple[object, ...]:
    return (oms.get_all_positions(), oms.get_all_orders(), oms.get_portfolio_summary(), oms.pnl(), oms.positions(),
            oms.risk_manager.daily_pnl, oms.sequencer.state.digest())  # fmt: skip


# --- what the helpers of a question add up to ---


def test_the_level_of_a_sum_counts_what_had_no_row_that_day() -> None:
    with desk(TWO_DAYS) as day:
        for account, symbol in (("a", ALFA), ("a", BETA), ("b", ALFA)):
            asyncio.run(trade(day, "buy", 1, 10, account=account, symbol=symbol))
            asyncio.run(day.oms.record_mark(symbol, 60))
        day.now += 86_400 * SECOND
        asyncio.run(trade(day, "buy", 1, 60, account="a"))  # only one of the three positions has a row on this day

        rows = list(day.oms.pnl())
        for by, wanted in (("account", {"a": 100, "b": 50}), ("symbol", {ALFA: 100, BETA: 50})):
            last = {row[by]: row["unrealized_pnl"] for row in summed(rows, by)}
            assert last == wanted


@pytest.mark.parametrize("clock", ["known_at", "as_of"])
def test_a_mark_told_ahead_of_its_moment_leaves_the_one_before_it_standing(clock: str) -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 10, 100))
        asyncio.run(day.oms.record_mark(ALFA, 110))
        asyncio.run(mark_ahead(day, 120, 3))
        day.now += 10 * SECOND
        asyncio.run(day.oms.record_mark(BETA, 1))
        between = day.now - 9 * SECOND

        (held,) = day.oms.positions(**at(clock, between))
        (brought,) = day.oms.pnl(**at(clock, between))
        queries = Queries(day.log)
        (why,) = why_positions(queries, queries.basis(AsOf(**at(clock, between))), ALFA, None)

        assert [held.mark_price, held.unrealized_pnl, brought["unrealized_pnl"]] == [D(110), D(100), D(100)]
        assert why.held.quantity == 10


def test_fills_as_of_a_moment_are_those_that_make_up_the_position() -> None:
    with desk() as day:
        busted, kept = (asyncio.run(trade(day, "buy", 10, 100)) for _ in range(2))
        moment = day.now
        day.now += 60 * SECOND
        asyncio.run(day.oms.bust_fill(busted, busted))
        asyncio.run(day.oms.correct_fill(kept, kept, fill_price=90))
        asyncio.run(trade(day, "buy", 5, 80, late=90))
        queries = Queries(day.log)

        found = list(queries.fills(queries.basis(AsOf(as_of=moment))))

        (held,) = day.oms.positions(as_of=moment)
        assert [(row["order_id"], row["quantity"], row["price"]) for row in found] == [("o-2", 5, 80), (kept, 10, 90)]
        assert held.quantity == sum(row["quantity"] for row in found)
        later = queries.fills(queries.basis(AsOf()))
        assert [row["busted"] for row in later] == [True, False, False]


def test_what_was_accepted_no_longer_waits_as_of_its_own_moment() -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 10, 100))
        waiting = []
        for order_id, trade_id in (("o-0", "over"), ("nobody", "unknown")):
            with pytest.raises(errors.FillQuarantinedError) as told:
                asyncio.run(day.oms.add_fill(order_id, 5, 100, trade_id))
            waiting.append(told.value.quarantine_id)
        moment = day.now
        day.now += 60 * SECOND
        for quarantine_id in waiting:
            asyncio.run(day.oms.resolve_quarantined(quarantine_id, True, symbol=ALFA, side="buy"))
        queries = Queries(day.log)

        orders = queries.orders(queries.basis(AsOf(as_of=moment)))

        assert orders.all_waiting() == []
        assert orders.exposed("default", ALFA).buys == 0
        assert {order.order_id: order.filled_quantity for order in orders.sorted()} == {"o-0": 15, "nobody": 5}


def test_what_was_refused_waited_until_then_in_the_list_and_in_the_count() -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 10, 100))
        with pytest.raises(errors.FillQuarantinedError) as told:
            asyncio.run(day.oms.add_fill("o-0", 5, 100, "over"))
        between = day.now
        day.now += 60 * SECOND
        asyncio.run(day.oms.resolve_quarantined(told.value.quarantine_id, False))
        queries = Queries(day.log)

        for when in (AsOf(as_of=between), AsOf(known_at=between)):
            (waits,) = queries.waiting(queries.basis(when))
            assert waits.fill.quarantine_id == told.value.quarantine_id
            assert [waits] == queries.orders(queries.basis(when)).all_waiting()
        assert queries.waiting(queries.basis(AsOf(as_of=day.now))) == []
        assert queries.waiting(queries.basis(AsOf())) == []


def test_a_fill_waits_until_the_order_is_there_that_it_was_accepted_for() -> None:
    with desk() as day:
        with pytest.raises(errors.FillQuarantinedError) as told:
            asyncio.run(day.oms.add_fill("o-0", 5, 100, "early"))
        between = day.now
        day.now += 60 * SECOND
        asyncio.run(day.oms.submit_order(ALFA, "buy", "market", 10, None, "o-0"))
        submitted = day.now
        day.now += 60 * SECOND
        asyncio.run(day.oms.resolve_quarantined(told.value.quarantine_id, True, symbol=ALFA, side="buy"))
        queries = Queries(day.log)

        for moment, count in ((between, 1), (submitted, 0), (day.now, 0)):
            basis = queries.basis(AsOf(as_of=moment))
            assert queries.waiting(basis) == queries.orders(basis).all_waiting()
            assert (len(queries.waiting(basis)), len(day.oms.positions(as_of=moment))) == (count, 1 - count)


# --- instruments and currencies ---


def test_an_instrument_is_not_redefined_under_an_open_position() -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 2, 100))
        before = day.log.head()

        for changed in ({"multiplier": 50}, {"currency": "EUR"}):
            with pytest.raises(errors.InstrumentInUse, match=f"{ALFA}.*default"):
                asyncio.run(day.oms.define_instrument(ALFA, **changed))

        assert day.log.head() == before
        asyncio.run(day.oms.define_instrument(ALFA, multiplier=1, currency="USD"))  # it is that already
        asyncio.run(trade(day, "sell", 2, 100))
        asyncio.run(day.oms.define_instrument(ALFA, multiplier=50))
        assert day.oms.sequencer.state.positions.multiplier(ALFA) == 50


def test_what_a_bust_opens_again_is_worth_what_its_own_fills_stand_for() -> None:
    with desk() as day:
        asyncio.run(trade(day, "buy", 10, 100))
        sold = asyncio.run(trade(day, "sell", 10, 100))
        asyncio.run(day.oms.define_instrument(ALFA, multiplier=50))
        asyncio.run(day.oms.bust_fill(sold, sold))
        asyncio.run(day.oms.record_mark(ALFA, 100))

        asyncio.run(trade(day, "buy", 1, 100))

        held = day.oms.get_position(ALFA)
        assert held is not None
        assert held.cost_basis == 10 * 100 + 1 * 100 * 50
        assert held.unrealized_pnl == 0  # all of it was bought at the mark


@given(steps=STEPS)
@FEWER
def test_sums_are_per_currency(steps: list[Step]) -> None:
    with desk() as day:
        day.play(steps)
        events = day.told()
        sums, days = brute_force.positions(events, CostMethod.FIFO), brute_force.days(events, CostMethod.FIFO)
        for account in (None, "main", "hedge"):
            summary = day.oms.get_portfolio_summary(account=account)
            own = {key: each for key, each in sums.items() if account in (None, key[0])}
            today = {key: brought for key, brought in days.items() if key[0] == summary["trading_day"]}

            assert summary["currencies"].keys() == {currency for _, _, currency in own}
            for currency, found in summary["currencies"].items():
                held = {key: each for key, each in own.items() if key[2] == currency}
                realized = sum(
                    (brought.gross - brought.fees for (_, *key), brought in today.items() if tuple(key) in held),
                    brute_force.ZERO,
                )
                assert {name: None if figure is None else Fraction(figure) for name, figure in found.items()} == {
                    "total_notional": sum(map(notional, held.values())),
                    "total_realized_pnl": sum(each.gross - each.fees for each in held.values()),
                    "total_unrealized_pnl": unrealized(held.values()),
                    "total_fees": sum(each.fees for each in held.values()),
                    "daily_pnl": realized,
                }


def notional(held: Sums) -> Fraction:
    return abs(held.cost_basis if held.mark is None else held.units * held.mark)


def unrealized(held: Iterable[Sums]) -> Fraction | None:
    levels = [each.unrealized for each in held if each.quantity]
    return None if None in levels else sum(filter(None, levels), brute_force.ZERO)


def test_money_earned_in_one_currency_does_not_become_another_when_the_instrument_does() -> None:
    with desk() as day:
        for currency, gain in (("USD", 100), ("EUR", 50)):
            asyncio.run(day.oms.define_instrument(ALFA, currency=currency))
            asyncio.run(trade(day, "buy", 1, 100))
            asyncio.run(trade(day, "sell", 1, 100 + gain))

        sums = day.oms.get_portfolio_summary()["currencies"]

        assert {currency: each["total_realized_pnl"] for currency, each in sums.items()} == {"USD": 100, "EUR": 50}
        brought = {row["currency"]: row["realized_pnl"] for row in day.oms.pnl()}
        assert brought == {"USD": 100, "EUR": 50}


# --- why, history, difference ---


@given(steps=STEPS, picks=PICKS)
@FEWER
def test_lots_and_matches_add_up_to_the_position_and_changes_as_well(
    steps: list[Step], picks: list[tuple[str, int, int]]
) -> None:
    with desk() as day:
        day.play(steps)
        events, queries = day.told(), Queries(day.log)

        for when in moments(events, picks[:3]):
            for method in CostMethod:
                basis = queries.basis(AsOf(**when), method)
                fills = brute_force.standing(events, basis.seq, basis.as_of)
                for symbol in (ALFA, BETA, CRUDE):
                    for why in why_positions(queries, basis, symbol, None):
                        key = why.held.book
                        _check_why(why, [fill for fill in fills if fill.key == key], method)
                        changes = history(queries, basis, symbol, key[0])
                        _check_history([each for each in changes if each["currency"] == key[2]], why.held)


def _check_why(why: Why, fills: list[brute_force.Fill], method: CostMethod) -> None:
    held, lots, matches = why.held, why.lots, why.matches
    assert (total(lots, "quantity"), total(lots, "cost")) == fractions(held.quantity, held.cost_basis)
    assert total(matches, "realized_pnl") == total(matches, "proceeds") - total(matches, "cost") == held.gross
    assert total(why.fees, "fee") == held.fees
    wanted, _ = brute_force.fold([(fill.quantity, fill.worth) for fill in fills], method)
    found = [fractions(lot["quantity"], lot["cost"]) for lot in lots]
    check(dict(enumerate(found)), {n: (size, size * cost) for n, (size, cost) in enumerate(wanted)}, method)
    known = {fill.at[1]: fill.trade for fill in fills}
    assert all(known[lot["seq"]] == (lot["order_id"], lot["trade_id"]) for lot in lots)


def _check_history(changes: list[dict[str, Any]], held: PositionState) -> None:
    for number, change in enumerate(changes, start=1):
        so_far = (total(changes[:number], "change"), total(changes[:number], "realized_pnl"))
        assert so_far == fractions(change["quantity"], change["total_realized_pnl"])
    last = changes[-1]
    assert (last["quantity"], last["cost_basis"], last["total_realized_pnl"]) == (
        held.quantity,
        held.cost_basis,
        held.realized,
    )


@pytest.mark.parametrize(
    ("view", "changed_day", "was", "now"),
    [("known", "2024-03-05", None, -51), ("as of", "2024-03-04", 98, 47)],  # the fifth had no row before
)
def test_the_difference_that_a_correction_makes_is_shown_by_symbol_and_day(
    view: str, changed_day: str, was: int | None, now: int
) -> None:
    with desk(TWO_DAYS) as day:
        asyncio.run(trade(day, "buy", 3, 7, symbol=BETA))
        asyncio.run(sold_at_110_and_a_day_later_restated(day, "correct"))
        queries, last = Queries(day.log), day.log.head().seq
        as_of = day.now if view == "as of" else None

        found = diff_by_symbol(queries, *(queries.basis(AsOf(as_of=as_of, at_seq=seq)) for seq in (last - 1, last)))

        (position,), (brought,) = found["positions"], found["days"]
        assert (position["account"], position["symbol"]) == ("default", ALFA)
        assert position["realized_pnl"] == {"from": 98, "to": 47, "change": -51}
        assert position["gross_realized_pnl"] == {"from": 100, "to": 50, "change": -50}
        assert "quantity" not in position
        assert (brought["trading_day"], brought["symbol"]) == (changed_day, ALFA)
        assert (brought["realized_pnl"]["from"], brought["realized_pnl"]["to"]) == (was, now)


def test_between_a_moment_and_itself_there_is_no_difference() -> None:
    with desk() as day:
        asyncio.run(bought_and_sold_and_heard_of_an_earlier_purchase(day))
        queries = Queries(day.log)
        basis = queries.basis(AsOf(as_of=day.now))

        assert diff_by_symbol(queries, basis, basis) == {"positions": [], "days": []}
