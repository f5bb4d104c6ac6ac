"""Look up the order that a command means, and the fills that were reported before that order was known."""

from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from oms_es.domain.commands import (
    AddFill,
    BustFill,
    ChangeState,
    Command,
    CorrectFill,
    LinkOrder,
    OrderCommand,
    Request,
    ResolveQuarantined,
    SubmitOrder,
)
from oms_es.domain.contents import Content
from oms_es.domain.order import Order
from oms_es.domain.policy import DECISION_RULES_VERSION
from oms_es.errors import AmbiguousOrder
from oms_es.projections.orders import Key, UnknownOrderFills
from oms_es.projections.state import State

FillCommand = AddFill | BustFill | CorrectFill
_NONE = UnknownOrderFills()
_FILLS = (AddFill, BustFill, CorrectFill)  # as tuples: they are asked for with every command
_LINKS = (ChangeState, LinkOrder)


def resolve_order(state: State, request: Request, rules: int = DECISION_RULES_VERSION) -> Command:
    """
    Return the command with the account and order id it means.

    Raises:
        AmbiguousOrder: the id names several orders; a fill is quarantined instead, if they are of one account.
    """
    command = request.command
    if isinstance(command, SubmitOrder) or not isinstance(command, OrderCommand):
        return command
    if isinstance(command, ResolveQuarantined):
        return _of_waiting(state, command)
    if request.is_located:
        return command
    account = None if request.any_account else command.account
    if rules >= 3 and isinstance(command, _FILLS):
        keys = state.orders.named(command.order_id, account)
        if len(keys) > 1:
            return _chosen(state, command, keys)
        key = keys[0] if keys else None
    else:
        key = state.orders.find(command.order_id, account)
    if key is None or key == (command.account, command.order_id):
        return command
    return replace(command, account=key[0], order_id=key[1])


def _of_waiting(state: State, command: ResolveQuarantined) -> Command:
    key = state.orders.waiting.get(command.quarantine_id)
    if not key:
        return command
    known: tuple[str, ...] | None = None
    with suppress(AmbiguousOrder):  # the venue's id names several by now: it stays with the id it was reported under
        known = state.orders.find(key[1], key[0])  # reported under the venue's id, before we knew it
    account, order_id = known or state.orders.current_key((key[0], key[1]))
    return replace(command, account=account, order_id=order_id)


def _chosen(state: State, command: FillCommand, keys: Sequence[Key]) -> Command:
    order = _meant(state, command, keys)
    if order is not None:
        return replace(command, account=order.account, order_id=order.order_id)
    accounts = {account for account, _ in keys}
    if isinstance(command, AddFill) and len(accounts) == 1:
        return replace(command, account=accounts.pop())  # to be quarantined: see `is_ambiguous`
    raise state.orders.ambiguous(command.order_id, keys)


def _meant(state: State, command: FillCommand, keys: Sequence[Key]) -> Order | None:
    """Return the one order that a fill can mean: the one that knows the trade, else the only open one that fits."""
    orders = [order for key in keys if (order := state.orders.order(key)) is not None]
    trade_id = command.trade_id
    if not isinstance(command, AddFill):
        return _only([order for order in orders if any(fill.trade_id == trade_id for fill in order.fills)])
    said = (command.symbol or "", "" if command.side is None else command.side.value)
    figures = (trade_id, command.fill_quantity, command.fill_price)
    knows = [
        order
        for order in orders
        if any(
            (each.trade_id, each.quantity, each.price) == figures and each.is_of(*said)
            for each in standing_contents(order)
        )
    ]
    fits = [order for order in orders if order.open_quantity and _is_of(order, *said)]
    return _only(knows) or _only(fits)


def _only(orders: list[Order]) -> Order | None:
    return orders[0] if len(orders) == 1 else None


def _is_of(order: Order, symbol: str, side: str) -> bool:
    return symbol in ("", order.symbol) and side in ("", order.side.value)


def is_ambiguous(state: State, request: Request, command: OrderCommand, rules: int) -> bool:
    """Return whether a fill was reported under a venue's id that names several orders, and none can be chosen."""
    if (
        rules < 3
        or request.is_located
        or not isinstance(command, AddFill)
        or command.order_id != getattr(request.command, "order_id", "")
    ):
        return False
    keys = state.orders.named(command.order_id, command.account)
    return len(keys) > 1 and _meant(state, command, keys) is None


# --- earlier reports ---


def standing_contents(order: Order) -> frozenset[Content]:
    """Return the reports of trades that are booked or wait; one that was busted may belong to another order."""
    trades = {fill.trade_id for fill in order.fills if not fill.busted}
    trades |= {waiting.fill.trade_id for waiting in order.waiting}
    return frozenset(each for each in order.contents if each.trade_id in trades)


def earlier_fills(
    state: State, request: Request, command: OrderCommand, order: Order | None, rules: int
) -> UnknownOrderFills:
    """Return the fills that were reported of this order under ids that nobody knew, or that mean another order too."""
    if _has_no_earlier_fills(state, request, command, order):
        return _NONE
    names = {command.order_id, getattr(request.command, "order_id", command.order_id)}
    names.update(() if order is None else (*order.external_order_ids, *order.aliases))
    if isinstance(command, _LINKS) and command.external_order_id is not None and rules >= 3:
        names.add(command.external_order_id)
    if isinstance(command, ResolveQuarantined):
        names.update((state.orders.waiting.get(command.quarantine_id) or ())[1:])
    found = [state.orders.unknown.get((command.account, name)) or UnknownOrderFills() for name in sorted(names)]
    waiting = [each for unknown in found for each in unknown.waiting]
    contents = frozenset[Content]().union(*(each.contents for each in found))
    for other in _namesakes(state, command, order, names):
        key = state.orders.current_key((other.account, other.order_id))
        merged = order is not None and key == (order.account, order.order_id)
        if rules >= 3 and not merged and other.merged_into is not None:
            continue  # its fills are those of a third order by now
        contents |= frozenset(other.contents) if merged or rules < 3 else standing_contents(other)
        if merged:
            waiting += other.waiting
    if rules >= 3 and order is not None and contents:  # a trade in another symbol or side is another trade
        contents = frozenset(each for each in contents if each.is_of(order.symbol, order.side.value))
    return UnknownOrderFills(contents, tuple(waiting))


def _has_no_earlier_fills(state: State, request: Request, command: OrderCommand, order: Order | None) -> bool:
    """Return whether a quick look is enough, as it nearly always is: no unknown fill, and no order under another id."""
    orders = state.orders
    if orders.unknown or isinstance(command, ResolveQuarantined):
        return False
    if order is not None and order.submitted.external:
        return False
    if order is not None and any(name in orders.accounts for name in order.external_order_ids):
        return False
    if order is not None and order.aliases:
        return False
    asked = getattr(request.command, "order_id", command.order_id)
    if asked != command.order_id and asked in orders.accounts:
        return False
    return not (isinstance(command, _LINKS) and command.external_order_id in orders.accounts)


def _namesakes(state: State, command: OrderCommand, order: Order | None, names: set[str]) -> list[Order]:
    """Return the other orders under these ids: external ones, or ours where the order is external."""
    found = [state.orders.order((command.account, name)) for name in sorted(names - {command.order_id})]
    others = [other for other in found if other is not None and other.is_external]
    if order is not None and order.is_external:
        keys = [key for key in state.orders.external.get(command.order_id) or () if key[0] == command.account]
        others += [ours for key in keys if (ours := state.orders.order(key)) is not None]
    return others
