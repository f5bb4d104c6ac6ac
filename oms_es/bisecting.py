"""The first event after which a claim is false, with the state before and after it."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from oms_es.claims import Claim, Moment
from oms_es.envelope import Recorded
from oms_es.log.contract import Log
from oms_es.order import Order
from oms_es.projections.orders import row
from oms_es.projections.world import World
from oms_es.vocabulary import CostMethod

Progress = Callable[[int], None]  # events looked at


class Turn(Struct, frozen=True, kw_only=True):
    """Where a claim stopped being true."""

    at: Recorded
    from_the_start: bool  # it was false before the first event that was looked at
    before: dict[str, Any]  # the order and the position that the event is about
    after: dict[str, Any]
    history: list[Recorded]  # of the order, up to the event


def bisect(
    log: Log,
    claim: Claim,
    *,
    first: int = 1,
    last: int | None = None,
    method: CostMethod = CostMethod.FIFO,
    progress: Progress | None = None,
) -> Turn | None:
    """
    Return the first event in `first`..`last` after which the claim is false; None when it holds throughout.

    A claim may turn true again and false again, so every event is looked at, in one fold.

    Raises:
        ClaimError: it cannot be judged; the message shows where.
    """
    world = World(method).replay(log.read(until=first - 1))
    for each in log.read(first - 1, last):
        before = _about(world, each)
        held = each.seq == first and not claim.holds(Moment(world, each.trading_day))
        world.apply(each)
        world.settle()
        if progress is not None and each.seq % 1000 == 0:
            progress(each.seq - first + 1)
        if not claim.holds(Moment(world, each.trading_day)):
            return Turn(
                at=each,
                from_the_start=held,
                before=before,
                after=_about(world, each),
                history=_history(log, each),
            )
    return None


def _about(world: World, at: Recorded) -> dict[str, Any]:
    """Return the order and the position that an event is about, as they stand."""
    event = at.event
    account, order_id = getattr(event, "account", None), getattr(event, "order_id", None)
    order: Order | None = None
    if account is not None and order_id is not None:
        order = world.orders.order((account, order_id))
    symbol = getattr(event, "symbol", None) or (order.symbol if order else None)
    holders = [account] if account else sorted(world.positions.holders.get(symbol) or ()) if symbol else []
    held = [held for each in holders if symbol for held in world.positions.held_in(each, symbol)]
    return {
        "order": None if order is None else row(order),
        "positions": [world.positions.row(each) for each in held],
        "open_orders": sum(world.orders.open_count.settled.values()),
    }


def _history(log: Log, at: Recorded) -> list[Recorded]:
    if not at.originator_id.startswith("order/"):
        return []
    return [each for each in log.stream(at.originator_id) if each.seq <= at.seq]
