"""
The parts of a position, its history, and the differences between two points in time.

All of it comes from the same fold as the position itself, so the parts add up to it, to the last digit.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from msgspec import Struct

from oms_es.decimals import ZERO, canonical, divide, minus, plus
from oms_es.domain.accounting import Lot, Lots, Match, match
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected
from oms_es.projections.position_state import BookedFill, PositionKey, PositionState
from oms_es.projections.positions import Positions
from oms_es.queries.queries import Basis, Queries, order_rows
from oms_es.timestamps import iso

FILL_EVENTS = (FillAdded, FillBusted, FillCorrected)


class Why(Struct, frozen=True, kw_only=True):
    """The parts of a position; they add up to it, to the last digit."""

    held: PositionState
    lots: list[dict[str, Any]]  # open lots, each with the fill that opened it
    matches: list[dict[str, Any]]  # closed lots, each with both fills and the realized P&L
    fees: list[dict[str, Any]]  # the fills with a fee


def why_positions(queries: Queries, basis: Basis, symbol: str, account: str | None) -> list[Why]:
    """Return the parts of the positions in a symbol, by account."""
    events = queries.fill_events(symbol, basis)
    positions = queries.base(basis.method).replay(queries.in_order(events, basis))
    return [each for each in parts_of(positions, events, account) if each.held.symbol == symbol]


def parts_of(positions: Positions, events: Iterable[Recorded], account: str | None) -> list[Why]:
    """Return the parts of positions that were folded from `events`, by account and symbol."""
    fills = {each.seq: each for each in events if isinstance(each.event, FillAdded)}
    return [_why(positions, key, held, fills) for key, held in positions.sorted() if account in (None, key[0])]


def _why(positions: Positions, key: PositionKey, held: PositionState, fills: dict[int, Recorded]) -> Why:
    trail = positions.trail(key)
    named = {
        each.lot.source: _fill(fills[each.lot.source]) if each.lot.source in fills else _booked(each) for each in trail
    }
    lots: Lots = ()
    matches: list[Match] = []
    for booked in trail:
        lots, closed = match(lots, booked.lot, positions.method)
        matches += closed
    return Why(
        held=held,
        lots=[_lot_row(each, named) for each in lots],
        matches=[_match_row(each, named) for each in matches],
        fees=[{**named[each.lot.source], "fee": each.fee} for each in trail if each.fee],
    )


def _lot_row(lot: Lot, fills: dict[int, dict[str, Any]]) -> dict[str, Any]:
    return {
        **fills[lot.source],
        "quantity": canonical(lot.quantity),
        "cost": canonical(lot.cost),
        "price": divide(lot.cost, lot.units),
    }


def _match_row(matched: Match, fills: dict[int, dict[str, Any]]) -> dict[str, Any]:
    opened, closed = fills[matched.opened_by], fills[matched.closed_by]
    return {
        **{f"closed_by_{name}": value for name, value in closed.items()},
        **{f"opened_by_{name}": value for name, value in opened.items()},
        "quantity": canonical(matched.quantity),
        "cost": canonical(matched.cost),
        "proceeds": canonical(matched.proceeds),
        "realized_pnl": canonical(matched.realized),
    }


def _booked(fill: BookedFill) -> dict[str, Any]:
    """Return a fill before the first event of a day archive, as far as the opening state has it."""
    order_id, trade_id = fill.trade
    return {"seq": fill.lot.source, "occurred_at": None, "order_id": order_id, "trade_id": trade_id}


def _fill(recorded: Recorded) -> dict[str, Any]:
    event = recorded.event
    assert isinstance(event, FillAdded), "lots come from fills"
    return {
        "seq": recorded.seq,
        "occurred_at": iso(recorded.effective_at),
        "order_id": event.order_id,
        "trade_id": event.trade_id,
    }


def why_row(why: Why) -> dict[str, Any]:
    """Return the parts of a position as in `oms why position --json`."""
    held = why.held
    return {
        "account": held.account,
        "symbol": held.symbol,
        "quantity": held.quantity,
        "cost_basis": held.cost_basis,
        "realized_pnl": held.realized,
        "gross_realized_pnl": held.gross,
        "fees": held.fees,
        "currency": held.currency,
        "lots": why.lots,
        "matches": why.matches,
        "fees_paid": why.fees,
        "adds_up": adds_up(why),
    }


def adds_up(why: Why) -> bool:
    """Return whether the parts add up to the position, to the last digit."""
    held = why.held
    return (
        total_of(why.lots, "quantity") == held.quantity
        and total_of(why.lots, "cost") == held.cost_basis
        and total_of(why.matches, "realized_pnl") == held.gross
        and total_of(why.fees, "fee") == held.fees
    )


def total_of(rows: Iterable[dict[str, Any]], key: str) -> Decimal:
    """Return the sum of a figure over rows."""
    total = ZERO
    for row in rows:
        total = plus(total, row[key])
    return canonical(total)


# --- history ---


def history(queries: Queries, basis: Basis, symbol: str, account: str | None) -> Iterator[dict[str, Any]]:
    """
    Yield every change of a symbol's positions, with its event.

    As-of: in the order of effective times, each fill as last corrected. Otherwise in log order, with busts and
    corrections as changes of their own.
    """
    positions = queries.base(basis.method)
    for each in queries.in_order(queries.fill_events(symbol, basis), basis):
        event = each.event
        assert isinstance(event, FILL_EVENTS), "no other events are read"
        held = {each.book: each for each in positions.held_in(event.account, event.symbol)}
        positions.apply(each)
        after = positions.touched
        assert after is not None, "a fill event changes a position"
        if account in (None, event.account):
            yield _change(each, event, held.get(after.book), after)


def _change(
    at: Recorded, event: FillAdded | FillBusted | FillCorrected, before: PositionState | None, after: PositionState
) -> dict[str, Any]:
    quantity, gross, fees = (ZERO, ZERO, ZERO) if before is None else (before.quantity, before.gross, before.fees)
    return {
        "seq": at.seq,
        "occurred_at": iso(at.effective_at),
        "recorded_at": iso(at.recorded_at),
        "event": type(event).__name__,
        "account": event.account,
        "symbol": event.symbol,
        "currency": after.currency,
        "order_id": event.order_id,
        "trade_id": event.trade_id,
        "side": event.side.value,
        "fill_quantity": event.fill_quantity,
        "fill_price": event.fill_price,
        "fee": event.fee,
        "change": canonical(minus(after.quantity, quantity)),
        "quantity": after.quantity,
        "cost_basis": after.cost_basis,
        "realized_pnl": canonical(minus(minus(after.gross, gross), minus(after.fees, fees))),
        "total_realized_pnl": after.realized,
    }


# --- diff ---

_BOOK = ("account", "symbol", "currency")
_FIGURES = ("quantity", "cost_basis", "realized_pnl", "gross_realized_pnl", "fees", "unrealized_pnl")
_DAY_FIGURES = ("realized_pnl", "gross_realized_pnl", "fees", "unrealized_pnl")


def diff_by_symbol(queries: Queries, one: Basis, other: Basis) -> dict[str, list[dict[str, Any]]]:
    """Return the differences between two answers: positions by symbol, and trading days by symbol."""
    was, now = queries.with_days(one), queries.with_days(other)
    return {
        "positions": _differing(was.rows(), now.rows(), _BOOK, _FIGURES),
        "days": _differing(was.day_rows(), now.day_rows(), ("trading_day", *_BOOK), _DAY_FIGURES),
    }


def diff_by_order(queries: Queries, one: Basis, other: Basis) -> dict[str, list[dict[str, Any]]]:
    """Return the orders that differ between two answers."""
    was, now = order_rows(queries.orders(one)), order_rows(queries.orders(other))
    figures = ("state", "quantity", "price", "filled_quantity", "open_quantity", "avg_fill_price", "fees")
    return {"orders": _differing(was, now, ("account", "order_id", "symbol"), figures)}


def _differing(
    was: list[dict[str, Any]], now: list[dict[str, Any]], names: tuple[str, ...], figures: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return a row for each key whose figures differ, each figure as {"from", "to", "change"}."""
    before = {tuple(row[name] for name in names): row for row in was}
    after = {tuple(row[name] for name in names): row for row in now}
    rows = []
    for key in sorted({*before, *after}):
        pairs = {figure: (before.get(key, {}).get(figure), after.get(key, {}).get(figure)) for figure in figures}
        there = (key in before, key in after)
        changed = {figure: _changed(*pair, there) for figure, pair in pairs.items() if pair[0] != pair[1]}
        if changed:
            rows.append({**dict(zip(names, key, strict=True)), **changed})
    return rows


def _changed(one: Any, other: Any, there: tuple[bool, bool]) -> dict[str, Any]:
    """Return both figures and their difference: a missing row counts as 0; figures that are not numbers have none."""
    from_number, to_number = (
        ZERO if value is None and not is_there else value for value, is_there in zip((one, other), there, strict=True)
    )
    numbers = isinstance(from_number, Decimal) and isinstance(to_number, Decimal)
    return {"from": one, "to": other, "change": canonical(minus(to_number, from_number)) if numbers else None}
