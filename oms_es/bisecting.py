"""The first event after which a claim is false, with the state before and after it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from msgspec import Struct

from oms_es.claims import Claim, Moment
from oms_es.envelope import Recorded
from oms_es.events import Event
from oms_es.order import Order
from oms_es.projections.holdings import Held, Mark, position_row
from oms_es.projections.orders import row
from oms_es.projections.world import World

Progress = Callable[[int], None]  # events looked at


class Turn(Struct, frozen=True, kw_only=True):
    """Where a claim stopped being true."""

    at: Recorded
    from_the_start: bool  # it was false before the first event that was looked at
    before: dict[str, Any]  # the order and the position that the event is about
    after: dict[str, Any]
    history: list[Recorded]  # of the order, up to the event


class _Seen(NamedTuple):
    """The order and the positions that an event is about, as they stand: what never changes is only pointed at."""

    order: Order | None
    held: list[Held]
    mark: Mark | None
    open_orders: int

    @classmethod
    def of(cls, world: World, event: Event) -> "_Seen":
        account, order_id = getattr(event, "account", None), getattr(event, "order_id", None)
        order = None if account is None or order_id is None else world.orders.order((account, order_id))
        symbol = getattr(event, "symbol", None) or (None if order is None else order.symbol)
        count = sum(world.orders.open_count.settled.values())
        if symbol is None:
            return cls(order, [], None, count)
        holders = [account] if account else sorted(world.positions.holders.get(symbol) or ())
        held = [held for name in holders for held in world.positions.held_in(name, symbol)]
        return cls(order, held, world.positions.marks.get(symbol), count)

    def told(self) -> dict[str, Any]:
        return {
            "order": None if self.order is None else row(self.order),
            "positions": [position_row(each, self.mark) for each in self.held],
            "open_orders": self.open_orders,
        }


def bisect(
    events: Iterable[Recorded],
    claim: Claim,
    world: World,
    history: Callable[[str], list[Recorded]],
    progress: Progress | None = None,
) -> Turn | None:
    """
    Return the first of `events` after which the claim is false; None when it holds throughout.

    A claim may turn true again and false again, so it is judged after every event that can change it, in one fold.

    Args:
        events: those to be looked at.
        claim: what should hold after each of them.
        world: the state before the first of them; it is carried on.
        history: gives the events of a stream.
        progress: called now and then.

    Raises:
        ClaimError: it cannot be judged; the message shows where.
    """
    day, moment = None, Moment(world, "")
    for number, each in enumerate(events):
        moment.trading_day = each.trading_day
        from_the_start = day is None and not claim.holds(moment)
        may_change = day is None or type(each.event) in claim.lives_on or (claim.of_the_day and each.trading_day != day)
        before, day = _Seen.of(world, each.event) if may_change else None, each.trading_day
        world.apply(each)
        world.settle()
        if progress is not None and number % 1000 == 0:
            progress(number)
        if before is not None and not claim.holds(moment):
            own = history(each.originator_id) if each.originator_id.startswith("order/") else []
            return Turn(
                at=each,
                from_the_start=from_the_start,
                before=before.told(),
                after=_Seen.of(world, each.event).told(),
                history=[other for other in own if other.seq <= each.seq],
            )
    return None
