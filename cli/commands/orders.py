"""Commands about orders: submit, what the venue says, cancel, amend."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from oms_es import OMSOrder, OrderManagementSystem, OrderRejected
from oms_es.cli.columns import ORDERS
from oms_es.cli.context import carry_out
from oms_es.cli.options import Account, Actor, CommandId, ConfigPath, Json, LogPath, OccurredAt, OrderId, Reason
from oms_es.cli.render import show_json, show_table
from oms_es.projections.orders import order_row
from oms_es.vocabulary import OrderState

Act = Callable[[OrderManagementSystem], Awaitable[OMSOrder | None]]
Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="What is traded.")]
Side = Annotated[str, typer.Argument(metavar="SIDE", help="buy or sell.")]
Type = Annotated[str, typer.Argument(metavar="TYPE", help="limit or market.")]
Quantity = Annotated[str, typer.Argument(metavar="QUANTITY", help="In base units.")]
Price = Annotated[str | None, typer.Argument(metavar="PRICE", help="The limit price; a market order has none.")]
NewId = Annotated[str | None, typer.Option("--order-id", metavar="ID", help="Unique per account [default: drawn].")]
ForAccount = Annotated[str | None, typer.Option("--account", metavar="NAME", help="Whose order [default: default].")]
InForce = Annotated[str, typer.Option(metavar="NAME", help="gtc, day, ioc, fok or gtd.")]
ReduceOnly = Annotated[bool, typer.Option("--reduce-only", help="Refuse it unless it reduces the position.")]
ExternalId = Annotated[str | None, typer.Option("--external-id", metavar="ID", help="The venue's id of the order.")]
Message = Annotated[str | None, typer.Option(metavar="TEXT", help="What the venue says.")]


def change_order(log: Path | None, config: Path | None, as_json: bool, act: Act) -> None:
    """Carry out a command about an order and show the order as it is then, also when a limit refuses it."""

    async def run(oms: OrderManagementSystem) -> tuple[dict[str, object] | None, OrderRejected | None]:
        refusal = None
        try:
            view = await act(oms)
        except OrderRejected as error:
            view, refusal = error.order, error
        if view is None:
            return None, refusal
        order = oms.sequencer.state.orders.order((view.account, view.order_id))
        return None if order is None else order_row(order), refusal

    row, refusal = carry_out(log, config, run)
    if as_json:
        show_json(row)
    elif row is not None:
        show_table(ORDERS, [row])
    if refusal is not None:
        raise refusal


def submit(
    symbol: Symbol,
    side: Side,
    order_type: Type,
    quantity: Quantity,
    price: Price = None,
    order_id: NewId = None,
    account: ForAccount = None,
    time_in_force: InForce = "gtc",
    reduce_only: ReduceOnly = False,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Judge a new order by the limits in force, and record it.

    For example:

        oms submit ACME buy limit 100 49.9 --order-id a-7
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.submit_order(
            symbol,
            side,
            order_type,
            quantity,
            price,
            order_id,
            account=account,
            reduce_only=reduce_only,
            time_in_force=time_in_force,
            command_id=command_id,
            occurred_at=occurred_at,
            actor=actor,
        ),
    )


def ack(
    order_id: OrderId,
    external_id: ExternalId = None,
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Record that the venue has acknowledged an order: it works. Acknowledged again, it stays as it is.

    For example:

        oms ack b-6 --external-id V-2006
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.update_order_state(
            order_id,
            OrderState.WORKING,
            external_order_id=external_id,
            account=account,
            command_id=command_id,
            occurred_at=occurred_at,
            actor=actor,
        ),
    )


def link(
    order_id: OrderId,
    external_id: Annotated[str, typer.Argument(metavar="EXTERNAL_ID", help="The venue's id of the order.")],
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Record a venue's id of an order, in whatever state it is.

    Fills that were booked or quarantined under that id before become the order's own.

    For example:

        oms link b-6 V-2006
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.link_order(
            order_id, external_id, account=account, command_id=command_id, occurred_at=occurred_at, actor=actor
        ),
    )


def reject(
    order_id: OrderId,
    message: Message = None,
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Record that the venue has rejected an order.

    For example:

        oms reject b-6 --message "unknown account"
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.update_order_state(
            order_id,
            OrderState.REJECTED,
            error_message=message,
            account=account,
            command_id=command_id,
            occurred_at=occurred_at,
            actor=actor,
        ),
    )


def fail(
    order_id: OrderId,
    message: Message = None,
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Record that an order never reached the venue.

    For example:

        oms fail b-6 --message "connection lost"
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.update_order_state(
            order_id,
            OrderState.FAILED,
            error_message=message,
            account=account,
            command_id=command_id,
            occurred_at=occurred_at,
            actor=actor,
        ),
    )


def cancel(
    order_id: OrderId,
    reason: Reason = "User requested",
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Give up what is open of an order.

    For example:

        oms cancel a-4 --reason "end of day"
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.cancel_order(
            order_id, reason, account=account, command_id=command_id, occurred_at=occurred_at, actor=actor
        ),
    )


def amend(
    order_id: OrderId,
    quantity: Annotated[str | None, typer.Option(metavar="NUMBER", help="The new total quantity.")] = None,
    price: Annotated[str | None, typer.Option(metavar="NUMBER", help="The new limit price.")] = None,
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Ask for another total quantity or price. What is added is judged like a new order.

    For example:

        oms amend a-4 --quantity 150 --price 49.85
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.amend_order(
            order_id,
            quantity=quantity,
            price=price,
            account=account,
            command_id=command_id,
            occurred_at=occurred_at,
            actor=actor,
        ),
    )
