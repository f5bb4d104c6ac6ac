"""
The state at a moment by two clocks: event time with everything known now (as-of), and recording time (known-at).

Known-at T folds the events recorded up to T in log order: the result is the live state of that moment. As-of T folds
the fills executed up to T, each as last corrected, by (`effective_at`, seq): a late fill, a bust and a correction count
at the time of the fill. Both together: as-of, with the events recorded until then. Live state and replay use the same
`apply`.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected
from oms_es.projections.orders import Orders
from oms_es.projections.positions import Positions
from oms_es.vocabulary import CostMethod


def positions_as_of(events: Iterable[Recorded], moment: int, method: CostMethod) -> Positions:
    """Return the positions that were true at `moment` (ns UTC, that very nanosecond included)."""
    return Positions(method).replay(in_event_time(events, moment))


def orders_as_of(events: Iterable[Recorded], moment: int) -> Orders:
    """Return the orders as the events effective up to `moment` have left them, folded in stream order."""
    return Orders().replay(each for each in events if each.effective_at <= moment)


def in_event_time(events: Iterable[Recorded], moment: int | None = None) -> list[Recorded]:
    """Return the events effective up to `moment` (ns UTC; None: all) in the order of their times, as last corrected."""
    known = (each for each in as_corrected(events) if moment is None or each.effective_at <= moment)
    return sorted(known, key=lambda each: (each.effective_at, each.seq))


def as_corrected(events: Iterable[Recorded]) -> Iterator[Recorded]:
    """
    Return the events with each fill as last corrected, at its own place, without busted fills and their busts.

    A bust or a correction of a fill that is not among the events has its own place.
    """
    kept: list[Recorded | None] = []
    places: dict[tuple[str, str, str | None], list[int]] = {}
    for each in events:
        event = each.event
        if isinstance(event, FillAdded):
            places.setdefault(_trade(event), []).append(len(kept))
            kept.append(each)
        elif isinstance(event, FillBusted | FillCorrected) and not places.get(_trade(event)):
            kept.append(each)
        elif isinstance(event, FillBusted):
            kept[places[_trade(event)].pop()] = None
        elif isinstance(event, FillCorrected):
            place = places[_trade(event)][-1]
            kept[place] = put_right(kept[place], event)
        else:
            kept.append(each)
    return (each for each in kept if each is not None)


def put_right(fill: Recorded | None, correction: FillCorrected) -> Recorded:
    """Return a fill as a correction has left it."""
    assert fill is not None, "a busted fill is not corrected"
    event = fill.event
    assert isinstance(event, FillAdded), "only fills are corrected"
    right = replace(
        event,
        fill_quantity=correction.fill_quantity,
        fill_price=correction.fill_price,
        fee=correction.fee,
        fee_currency=correction.fee_currency,
        fee_in_base=correction.fee_in_base,
    )
    return replace(fill, event=right)


def _trade(event: FillAdded | FillBusted | FillCorrected) -> tuple[str, str, str | None]:
    booked_as = None if isinstance(event, FillAdded) else event.booked_as
    return event.account, booked_as or event.order_id, event.trade_id
