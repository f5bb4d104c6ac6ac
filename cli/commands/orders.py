"""Commands on orders: submit, reports of the venue, cancel, amend."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from oms_es import OMSOrder, OrderManagementSystem, OrderRejected
from oms_es.cli.columns import ORDERS
from oms_es.cli.options import CommandOptions, OrderCommandOptions, OrderId, Reason, TimedCommandOptions, tags_from
from oms_es.cli.render import show_json, show_table
from oms_es.projections.rows import order_row
from oms_es.vocabulary import OrderState

Act = Callable[[OrderManagementSystem], Awaitable[OMSOrder | None]]
Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="The symbol to trade.")]
Side = Annotated[str, typer.Argument(metavar="SIDE", help="buy or sell.")]
Type = Annotated[str, typer.Argument(metavar="TYPE", help="limit, market, stop or stop_limit.")]
Quantity = Annotated[str, typer.Argument(metavar="QUANTITY", help="In base units.")]
Price = Annotated[str | None, typer.Argument(metavar="PRICE", help="The limit price; none for a market order.")]
NewId = Annotated[str | None, typer.Option("--order-id", metavar="ID", help="Unique per account [default: generated].")]
ForAccount = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="The account of the order [default: default].")
]
InForce = Annotated[str, typer.Option(metavar="NAME", help="gtc, day, ioc, fok or gtd.")]
ReduceOnly = Annotated[bool, typer.Option("--reduce-only", help="Reject the order unless it reduces the position.")]
StopPrice = Annotated[str | None, typer.Option(metavar="NUMBER", help="Of a stop or stop_limit order.")]
Group = Annotated[
    str | None, typer.Option(metavar="NAME", help="Orders of one group count once in the limits, by the largest.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="A tag; repeatable.")]
ExternalId = Annotated[str | None, typer.Option("--external-id", metavar="ID", help="The venue's order id.")]
NewExternalId = Annotated[str, typer.Argument(metavar="EXTERNAL_ID", help="The venue's order id.")]
Message = Annotated[str | None, typer.Option(metavar="TEXT", help="The venue's message.")]
Request = Annotated[bool, typer.Option("--request", help="Request it: the order is open until it is confirmed.")]
NewQuantity = Annotated[str | None, typer.Option(metavar="NUMBER", help="The new total quantity.")]
NewPrice = Annotated[str | None, typer.Option(metavar="NUMBER", help="The new limit price.")]


def change_order(options: CommandOptions, act: Act) -> None:
    """Carry out a command on an order and print the order; a rejection is raised after that."""

    async def run(oms: OrderManagementSystem) -> tuple[dict[str, object] | None, OrderRejected | None]:
        rejection = None
        try:
            view = await act(oms)
        except OrderRejected as error:
            view, rejection = error.order, error
        if view is None:
            return None, rejection
        order = oms.sequencer.state.orders.order((view.account, view.order_id))
        return None if order is None else order_row(order), rejection

    row, rejection = options.carry_out(run)
    if options.as_json:
        show_json(row)
    elif row is not None:
        show_table(ORDERS, [row])
    if rejection is not None:
        raise rejection


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
    stop_price: StopPrice = None,
    oco_group: Group = None,
    tag: Tags = None,
    *,
    options: TimedCommandOptions,
) -> None:
    """
    Submit an order; it must pass the risk checks.

    For example:

        oms submit ACME buy limit 100 49.9 --order-id a-7
    """
    change_order(
        options,
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
            stop_price=stop_price,
            oco_group=oco_group,
            tags=tags_from(tag),
            **options.recorded(),
        ),
    )


def ack(order_id: OrderId, external_id: ExternalId = None, *, options: OrderCommandOptions) -> None:
    """
    Record that the venue acknowledged an order.

    The order is WORKING from then on. Repeating the command changes nothing.

    For example:

        oms ack b-6 --external-id V-2006
    """
    change_order(
        options,
        lambda oms: oms.update_order_state(
            order_id, OrderState.WORKING, external_order_id=external_id, **options.recorded()
        ),
    )


def link(order_id: OrderId, external_id: NewExternalId, *, options: OrderCommandOptions) -> None:
    """
    Record the venue's order id of an order.

    The order may be in any state. Fills that were booked or quarantined under the venue's order id before become fills
    of this order.

    For example:

        oms link b-6 V-2006
    """
    change_order(options, lambda oms: oms.link_order(order_id, external_id, **options.recorded()))


def reject(order_id: OrderId, message: Message = None, *, options: OrderCommandOptions) -> None:
    """
    Record that the venue rejected an order.

    For example:

        oms reject b-6 --message "unknown account"
    """
    _end(order_id, OrderState.REJECTED, message, options)


def fail(order_id: OrderId, message: Message = None, *, options: OrderCommandOptions) -> None:
    """
    Record that an order did not get to the venue.

    For example:

        oms fail b-6 --message "connection lost"
    """
    _end(order_id, OrderState.FAILED, message, options)


def _end(order_id: str, state: OrderState, message: str | None, options: OrderCommandOptions) -> None:
    change_order(
        options, lambda oms: oms.update_order_state(order_id, state, error_message=message, **options.recorded())
    )


def cancel(
    order_id: OrderId, reason: Reason = "User requested", request: Request = False, *, options: OrderCommandOptions
) -> None:
    """
    Cancel an order.

    For example:

        oms cancel a-4 --reason "end of day"
    """

    def act(oms: OrderManagementSystem) -> Awaitable[OMSOrder]:
        call = oms.request_cancel if request else oms.cancel_order
        return call(order_id, reason, **options.recorded())

    change_order(options, act)


def amend(
    order_id: OrderId, quantity: NewQuantity = None, price: NewPrice = None, *, options: OrderCommandOptions
) -> None:
    """
    Amend an order's total quantity or price.

    Added quantity must pass the risk checks like a new order.

    For example:

        oms amend a-4 --quantity 150 --price 49.85
    """
    change_order(options, lambda oms: oms.amend_order(order_id, quantity=quantity, price=price, **options.recorded()))
