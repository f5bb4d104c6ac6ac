"""A desk that plays steps at random, moments to ask about, and the comparison with `brute_force.py`."""

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st

from oms_es import Settings, errors
from oms_es.decimals import text
from oms_es.domain.commands import RecordMark, Request
from oms_es.projections.views import Position
from oms_es.timestamps import SECOND, instant
from oms_es.vocabulary import CostMethod, Origin
from tests import brute_force
from tests.brute_force import Key, Sums, Told
from tests.trading_desk import TradingDesk

Figures = tuple[Fraction | None, ...]

D = Decimal
ALFA, BETA, CRUDE = "ALFA", "BETA", "CRUDE"  # CRUDE: 50 EUR for a point; the others are as they come
CALM = {"position_snapshot_interval": 10**12}  # checkpoints come when the test makes them
PASSED_OVER = (
    errors.FillQuarantinedError, errors.UnknownFill, errors.InvalidTransition, errors.OrderRejected,
    errors.InstrumentInUse,
)  # fmt: skip


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


FEWER = settings(max_examples=settings().max_examples // 3)
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


class PlayedDesk(TradingDesk):
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
        super().__init__(path, instant(calendar.begin), Settings.from_mapping({**unlimited, **rules}), "normal")
        self.orders: list[str] = []
        self.fills: list[dict[str, Any]] = []
        self.waiting: list[str] = []

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
def desk(calendar: Calendar = CALENDARS[0], **rules: dict[str, Any]) -> Iterator[PlayedDesk]:
    """Give a desk over a file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = PlayedDesk(Path(folder) / "day.db", calendar, **rules)
        try:
            yield made
        finally:
            made.oms.sequencer.close()


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


# --- history by hand ---


def total(rows: Iterable[Mapping[str, Any]], name: str) -> Fraction:
    """Return a column added up; not by sum() of decimals, which would round."""
    return sum((Fraction(row[name]) for row in rows), brute_force.ZERO)


TWO_DAYS = Calendar("UTC", "00:00", "start", "2024-03-04T10:00:00Z")


def at(clock: str, moment: object) -> dict[str, Any]:
    """Return the words of a question about a moment."""
    return {clock: moment}


async def trade(day: PlayedDesk, side: str, quantity: int, price: int, late: float = 0, **what: Any) -> str:
    """Submit an order and fill it `late` seconds ago; return its id, which is also the trade's."""
    symbol, account, fee = what.get("symbol", ALFA), what.get("account"), what.get("fee", 0)
    at, order_id = day.now - int(late * SECOND), f"o-{len(day.orders)}"
    day.orders.append(order_id)
    await day.oms.submit_order(symbol, side, "market", quantity, None, order_id, account=account, occurred_at=at)
    await day.oms.add_fill(order_id, quantity, price, order_id, fee, account=account, occurred_at=at)
    return order_id


async def mark_ahead(day: PlayedDesk, price: int, seconds: int) -> None:
    """Import a mark of a moment that our clock has not reached; history keeps its own times."""
    mark = RecordMark(symbol=ALFA, price=D(price))
    request = Request(command=mark, occurred_at=day.now + seconds * SECOND, origin=Origin.IMPORT)
    await day.oms.sequencer.perform(request)


async def bought_and_sold_and_heard_of_an_earlier_purchase(day: PlayedDesk) -> None:
    await trade(day, "buy", 10, 100)
    day.now += 600 * SECOND
    await trade(day, "sell", 10, 110)
    day.now += 3_000 * SECOND
    await trade(day, "buy", 5, 90, late=4_200)  # executed before the others


async def sold_at_110_and_a_day_later_restated(day: PlayedDesk, restate: str) -> None:
    await trade(day, "buy", 10, 100, fee=1)
    sold = await trade(day, "sell", 10, 110, fee=1)
    day.now += 24 * 3_600 * SECOND
    if restate == "bust":
        await day.oms.bust_fill(sold, sold)
    else:
        await day.oms.correct_fill(sold, sold, fill_price=105, fee=2)
