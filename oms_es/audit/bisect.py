"""The first event after which a claim is false, with the state before and after it."""

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Any, NamedTuple

from msgspec import Struct

from oms_es.audit.expression import EvaluationPoint, Expression
from oms_es.audit.redecide import subject_of
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import Event
from oms_es.domain.order import Order
from oms_es.projections.position_state import Mark, PositionState
from oms_es.projections.rows import order_row, position_row, timed
from oms_es.projections.state import State
from oms_es.queries.known_names import Unknown, topics_with, unknown_names


class Turn(Struct, frozen=True, kw_only=True):
    """The event after which a claim is false."""

    at: Recorded
    from_the_start: bool  # it was false before the first event of the range, too
    before: dict[str, Any]  # the order and the positions of the event
    after: dict[str, Any]
    history: list[Recorded]  # of the order, up to the event


class _Snapshot(NamedTuple):
    """The order and the positions right after an event; immutable, while the state changes."""

    order: Order | None
    held: list[PositionState]
    mark: Mark | None
    open_orders: int

    @classmethod
    def of(cls, state: State, event: Event) -> "_Snapshot":
        account, order, symbol = subject_of(state, event)
        count = sum(state.orders.open_count.values())
        if symbol is None:
            return cls(order, [], None, count)
        holders = [account] if account else sorted(state.positions.holders.get(symbol) or ())
        held = [held for name in holders for held in state.positions.held_in(name, symbol)]
        return cls(order, held, state.positions.marks.get(symbol), count)

    def as_json(self) -> dict[str, Any]:
        return {
            "order": None if self.order is None else order_row(self.order),
            "positions": [timed(position_row(each, self.mark)) for each in self.held],
            "open_orders": self.open_orders,
        }


def bisect(
    claim: Expression,
    opening: Callable[[], State],
    events: Callable[[frozenset[str] | None], Iterable[Recorded]],
    history: Callable[[str], list[Recorded]],
    *,
    first: int = 1,
    last: int | None = None,
) -> Turn | None:
    """
    Return the first event in `first`..`last` after which the claim is false; None when it holds throughout.

    A claim can become true again and false again, so it is evaluated after every event that can change it. Only the
    parts of the state that it reads are folded until it is false; then the whole state, up to that event.

    Args:
        claim: the expression that should be true after each event.
        opening: returns a new state before all of the events.
        events: returns the events, all or those of some topics.
        history: returns the events of a stream.
        first: the seq of the first event of the range.
        last: the seq of the last one; None: to the end.

    Raises:
        ExpressionError: it cannot be evaluated; the message shows where.
    """
    found = _first_false(claim, opening(), events, first, last)
    if found is None:
        return None
    at, from_the_start = found
    state = opening()
    state.replay(_until(events(None), at.seq - 1))
    before = _Snapshot.of(state, at.event)
    state.replay([at])
    own = history(at.originator_id) if at.originator_id.startswith("order/") else []
    return Turn(
        at=at,
        from_the_start=from_the_start,
        before=before.as_json(),
        after=_Snapshot.of(state, at.event).as_json(),
        history=[each for each in own if each.seq <= at.seq],
    )


def unknown_to(
    claim: Expression,
    opening: Callable[[], State],
    events: Callable[[frozenset[str] | None], Iterable[Recorded]],
    last: int | None = None,
) -> list[Unknown]:
    """
    Return the names in a claim that do not occur up to the event `last`: the claim certifies nothing about them.

    Args: as in `bisect`.
    """
    if not claim.names:
        return []
    return unknown_names(claim.names, _until(events(topics_with(claim.names)), last), opening())


def _first_false(
    claim: Expression,
    state: State,
    events: Callable[[frozenset[str] | None], Iterable[Recorded]],
    first: int,
    last: int | None,
) -> tuple[Recorded, bool] | None:
    """Return the event after which the claim is false, and whether it was false before the first event, too."""
    topics = state.restrict(claim.parts)
    day, point, can_change, false_before = None, EvaluationPoint(state, ""), False, False
    # A claim about the trading day also depends on the first event of each day, of any topic.
    for each in _until(events(None if claim.of_the_day else topics), last):
        if each.seq >= first:
            point.trading_day = each.trading_day
            false_before = day is None and not claim.holds(point)
            can_change = (
                day is None or type(each.event) in claim.depends_on or (claim.of_the_day and each.trading_day != day)
            )
            day = each.trading_day
        state.apply(each)
        state.commit()
        if each.seq >= first and can_change and not claim.holds(point):
            return each, false_before
    return None


def _until(events: Iterable[Recorded], last: int | None) -> Iterator[Recorded]:
    return takewhile(lambda each: last is None or each.seq <= last, events)
