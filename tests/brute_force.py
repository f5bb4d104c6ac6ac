"""
What a log comes to, worked out the long way: a second opinion that shares no code with the product.

It reads stored rows as plain tuples and their bodies as JSON, counts in fractions, keeps nothing between two answers,
and folds everything again for each. Slow, and short enough to be checked by eye.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from oms_es.vocabulary import CostMethod

SECOND = 1_000_000_000
FAR = 2**63
ZERO = Fraction(0)
Key = tuple[str, str, str]  # account, symbol, currency


class Told(NamedTuple):
    """A stored row, as far as it is looked at."""

    seq: int
    stream: list[str]  # "order/default/o-1" in its parts
    topic: str
    body: dict[str, Any]
    effective_at: int
    recorded_at: int
    trading_day: str


class Fill(NamedTuple):
    """A fill as it stands."""

    at: tuple[int, int]  # effective_at, seq
    trading_day: str
    key: Key
    trade: tuple[str, str | None]  # order id, trade id
    quantity: Fraction  # + bought, - sold
    worth: Fraction  # of one unit: price times multiplier
    multiplier: Fraction
    fee: Fraction


class Sums(NamedTuple):
    """What an account holds of a symbol, and what it earned with it."""

    quantity: Fraction
    cost_basis: Fraction
    gross: Fraction
    fees: Fraction
    cash: Fraction  # received minus paid, fees apart
    mark: Fraction | None
    unrealized: Fraction | None
    units: Fraction  # quote units per price unit: quantity times multiplier, over all that is open


class Brought(NamedTuple):
    """What a trading day brought."""

    gross: Fraction
    fees: Fraction
    fills: int


class Stands(NamedTuple):
    """An order, as far as it is looked at."""

    state: str
    quantity: Fraction
    filled: Fraction
    fees: Fraction


def told(rows: Iterable[tuple[Any, ...]]) -> list[Told]:
    """Return stored rows, read."""
    return [Told(row[0], row[1].split("/", 2), row[3], json.loads(row[4]), row[8], row[9], row[10]) for row in rows]


def known_by(events: Sequence[Told], moment: int) -> int:
    """Return the seq of the last event that had been recorded at a moment."""
    return max((each.seq for each in events if each.recorded_at <= moment), default=0)


# --- lots ---


def fold(
    trades: Iterable[tuple[Fraction, Fraction]], method: CostMethod
) -> tuple[list[list[Fraction]], list[Fraction]]:
    """Return the open lots (quantity, what one unit cost) and what each trade (quantity, worth) has realized."""
    lots: list[list[Fraction]] = []
    gains = []
    for traded, worth in trades:
        left, gain = traded, ZERO
        while left and lots and lots[0][0] * left < 0:
            nearest = lots[-1 if method is CostMethod.LIFO else 0]
            closed = -left if abs(left) < abs(nearest[0]) else nearest[0]
            gain += closed * (worth - nearest[1])
            nearest[0] -= closed
            left += closed
            if not nearest[0]:
                lots.remove(nearest)
        if left and lots and method is CostMethod.AVERAGE:
            ((held, cost),) = lots
            lots = [[held + left, (held * cost + left * worth) / (held + left)]]
        elif left:
            lots.append([left, worth])
        gains.append(gain)
    return lots, gains


# --- fills ---


def standing(events: Sequence[Told], until: int, as_of: int | None) -> list[Fill]:
    """
    Return the fills to be booked, in order.

    Known: those that stand after the event `until`, as they became known. As of a moment: those of them that were
    executed by then, as they were executed.
    """
    fills: list[Fill] = []
    for each in events:
        if each.seq <= until and each.topic in ("FillAdded", "FillBusted", "FillCorrected"):
            _take(each, fills)
    if as_of is None:
        return fills
    return sorted(fill for fill in fills if fill.at[0] <= as_of)


def _take(event: Told, fills: list[Fill]) -> None:
    body, (_, account, order_id) = event.body, event.stream
    trade = (order_id, body.get("trade_id"))
    sign = 1 if body["side"] == "buy" else -1
    multiplier = Fraction(body.get("multiplier", "1"))
    told_now = Fill(
        at=(event.effective_at, event.seq),
        trading_day=event.trading_day,
        key=(account, body["symbol"], body.get("currency", "USD")),
        trade=trade,
        quantity=sign * Fraction(body["fill_quantity"]),
        worth=Fraction(body["fill_price"]) * multiplier,
        multiplier=multiplier,
        fee=Fraction(body.get("fee", "0")),
    )
    if event.topic == "FillAdded":
        fills.append(told_now)
        return
    place = max(n for n, fill in enumerate(fills) if (fill.key[:2], fill.trade) == (told_now.key[:2], trade))
    if event.topic == "FillBusted":
        del fills[place]
    else:
        was = fills[place]
        fills[place] = was._replace(quantity=told_now.quantity, worth=told_now.worth, fee=told_now.fee)


def last_mark(events: Sequence[Told], symbol: str, until: int, moment: int) -> Fraction | None:
    """Return the last mark not later than a moment, of those known."""
    marks = [
        (each.effective_at, each.seq, Fraction(each.body["price"]))
        for each in events
        if each.topic == "MarkRecorded"
        and each.stream[1] == symbol
        and each.seq <= until
        and each.effective_at <= moment
    ]
    return max(marks)[2] if marks else None


# --- answers ---


def positions(
    events: Sequence[Told], method: CostMethod, until: int = FAR, as_of: int | None = None
) -> dict[Key, Sums]:
    """Return what was held, flat positions included."""
    fills = standing(events, until, as_of)
    ever = fills  # as of a moment, what was taken back has never been
    if as_of is None:
        ever = standing([each for each in events if each.topic == "FillAdded"], until, None)
    return {
        key: _sums(events, [fill for fill in fills if fill.key == key], key[1], method, until, as_of)
        for key in {fill.key for fill in ever}
    }


def _sums(
    events: Sequence[Told], fills: list[Fill], symbol: str, method: CostMethod, until: int, as_of: int | None
) -> Sums:
    lots, gains = fold([(fill.quantity, fill.worth) for fill in fills], method)
    quantity = sum((lot[0] for lot in lots), ZERO)
    cost = sum((lot[0] * lot[1] for lot in lots), ZERO)
    mark = last_mark(events, symbol, until, FAR if as_of is None else as_of)
    return Sums(
        quantity=quantity,
        cost_basis=cost,
        gross=sum(gains, ZERO),
        fees=sum((fill.fee for fill in fills), ZERO),
        cash=-sum((fill.quantity * fill.worth for fill in fills), ZERO),
        mark=mark,
        unrealized=None if mark is None else units(fills, method) * mark - cost,
        units=units(fills, method),
    )


def units(fills: Sequence[Fill], method: CostMethod) -> Fraction:
    """Return what the open fills stand for, each by its own multiplier: folded by multipliers as by prices."""
    lots, _ = fold([(fill.quantity, fill.multiplier) for fill in fills], method)
    return sum((lot[0] * lot[1] for lot in lots), ZERO)


def days(
    events: Sequence[Told], method: CostMethod, until: int = FAR, as_of: int | None = None
) -> dict[tuple[str, str, str, str], Brought]:
    """
    Return what each trading day brought, by day, account, symbol and currency.

    Known: what every event has added, on the day it came; a bust or a correction adds the difference. As of a moment:
    what every fill has realized, on the fill's own day.
    """
    found: dict[tuple[str, str, str, str], Brought] = {}
    for trading_day, key, gross, fees, count in _steps(events, method, until, as_of):
        was = found.get((trading_day, *key), Brought(ZERO, ZERO, 0))
        found[(trading_day, *key)] = Brought(was.gross + gross, was.fees + fees, was.fills + count)
    return found


def _steps(
    events: Sequence[Told], method: CostMethod, until: int, as_of: int | None
) -> Iterable[tuple[str, Key, Fraction, Fraction, int]]:
    if as_of is not None:
        fills = standing(events, until, as_of)
        for key in {fill.key for fill in fills}:
            own = [fill for fill in fills if fill.key == key]
            _, gains = fold([(fill.quantity, fill.worth) for fill in own], method)
            yield from ((fill.trading_day, key, gain, fill.fee, 1) for fill, gain in zip(own, gains, strict=True))
        return
    for each in events:
        if each.seq <= until and each.topic in ("FillAdded", "FillBusted", "FillCorrected"):
            of_symbol = (each.stream[1], each.body["symbol"])
            moved = standing(events, each.seq - 1, None) + standing(events, each.seq, None)
            for key in sorted({fill.key for fill in moved if fill.key[:2] == of_symbol}):
                before, after = (_booked(events, key, method, seq) for seq in (each.seq - 1, each.seq))
                if before != after:
                    yield each.trading_day, key, after[0] - before[0], after[1] - before[1], after[2] - before[2]


def _booked(events: Sequence[Told], key: Key, method: CostMethod, until: int) -> Brought:
    fills = [fill for fill in standing(events, until, None) if fill.key == key]
    _, gains = fold([(fill.quantity, fill.worth) for fill in fills], method)
    return Brought(sum(gains, ZERO), sum((fill.fee for fill in fills), ZERO), len(fills))


def orders(events: Sequence[Told], until: int = FAR, as_of: int = FAR) -> dict[tuple[str, str], Stands]:
    """Return every order as its events have left it, by account and order id."""
    found: dict[tuple[str, str], list[Told]] = {}
    for each in events:
        if each.stream[0] == "order" and each.seq <= until and each.effective_at <= as_of:
            found.setdefault((each.stream[1], each.stream[2]), []).append(each)
    return {key: _stands(own) for key, own in found.items()}


def _stands(events: list[Told]) -> Stands:
    state, quantity = "idle", Fraction(events[0].body["quantity"])
    for each in events:
        if each.topic == "StateChanged":
            state = each.body["new"]
        elif each.topic == "OrderAmended":
            quantity = Fraction(each.body["quantity"])
    fills: list[Fill] = []
    for each in events:
        # A bust or a correction whose fill is not there yet, at that moment, has nothing to change.
        is_there = any(fill.trade[1] == each.body.get("trade_id") for fill in fills)
        if each.topic == "FillAdded" or (each.topic in ("FillBusted", "FillCorrected") and is_there):
            _take(each, fills)
    filled = sum((abs(fill.quantity) for fill in fills), ZERO)
    fees = sum((fill.fee for fill in fills), ZERO)
    return Stands(state, filled if events[0].body.get("external") else quantity, filled, fees)


# --- trading days ---


def trading_day(moment: int, zone: str, roll: str, label: str) -> str:
    """Return the trading day of a moment: the last one whose roll the clock on the wall had reached by then."""
    near = datetime.fromtimestamp(moment // SECOND, ZoneInfo(zone)).date()
    candidates = [near + timedelta(days=days) for days in (-2, -1, 0, 1)]
    begun = max(day for day in candidates if day_start(day, zone, roll) * SECOND <= moment)
    return (begun + timedelta(days=1) if label == "end" else begun).isoformat()


@lru_cache(maxsize=4096)
def day_start(day: date, zone: str, roll: str) -> int:
    """Return the first minute, in seconds UTC, at which the clock on the wall shows the roll of a day, or more."""
    wanted, at = datetime.combine(day, time.fromisoformat(roll)), ZoneInfo(zone)
    minute = datetime.combine(day, time(), UTC) - timedelta(hours=15)
    while minute.astimezone(at).replace(tzinfo=None) < wanted:
        minute += timedelta(minutes=1)
    return int(minute.timestamp())
