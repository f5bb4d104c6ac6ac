"""Commands on fills: add, bust, correct; list and resolve the quarantine."""

from collections.abc import Sequence
from typing import Annotated

import typer

from oms_es.cli.basis import print_basis
from oms_es.cli.columns import QUARANTINE
from oms_es.cli.commands.orders import change_order
from oms_es.cli.options import AsOfQuery, CommandOptions, OrderCommandOptions, OrderId, Reason
from oms_es.cli.render import Row, age, counted, in_zone, print_message, show_rows_json, show_table
from oms_es.projections.rows import quarantine_row

Quantity = Annotated[str, typer.Argument(metavar="QUANTITY", help="The executed quantity, in base units.")]
Price = Annotated[str, typer.Argument(metavar="PRICE", help="Quote units per base unit.")]
TradeId = Annotated[str, typer.Argument(metavar="TRADE", help="The trade id of the fill.")]
NewTradeId = Annotated[
    str | None, typer.Option("--trade-id", metavar="ID", help="The venue's id; a repetition without it counts twice.")
]
Fee = Annotated[str, typer.Option(metavar="NUMBER", help="In quote units; below 0 for a rebate.")]
Symbol = Annotated[str | None, typer.Option(metavar="NAME", help="With --side: opens an unknown order.")]
Side = Annotated[str | None, typer.Option(metavar="SIDE", help="With --symbol: opens an unknown order.")]
Changed = Annotated[str | None, typer.Option(metavar="NUMBER", help="The correct value.")]
QuarantineId = Annotated[str, typer.Argument(metavar="ID", help="The id in the list of `oms quarantine`.")]
MOST_AGES = 20


def fill(
    order_id: OrderId,
    quantity: Quantity,
    price: Price,
    trade_id: NewTradeId = None,
    fee: Fee = "0",
    symbol: Symbol = None,
    side: Side = None,
    *,
    options: OrderCommandOptions,
) -> None:
    """
    Add a fill (FIX Trade).

    A fill that breaks a rule, like an overfill, is quarantined.

    For example:

        oms fill a-4 50 49.8 --trade-id a-4-t2 --fee 0.25
    """
    change_order(
        options,
        lambda oms: oms.add_fill(
            order_id, quantity, price, trade_id, fee, symbol=symbol, side=side, **options.recorded()
        ),
    )


def bust(order_id: OrderId, trade_id: TradeId, reason: Reason = "", *, options: OrderCommandOptions) -> None:
    """
    Bust a fill (FIX TradeCancel).

    The position is then as if the fill had never happened.

    For example:

        oms bust a-4 a-4-t1 --reason "erroneous trade"
    """
    change_order(options, lambda oms: oms.bust_fill(order_id, trade_id, reason=reason, **options.recorded()))


def correct(
    order_id: OrderId,
    trade_id: TradeId,
    quantity: Changed = None,
    price: Changed = None,
    fee: Changed = None,
    reason: Reason = "",
    *,
    options: OrderCommandOptions,
) -> None:
    """
    Correct a fill (FIX TradeCorrect).

    The position is then as if the fill had been right from the start.

    For example:

        oms correct a-4 a-4-t1 --price 49.79
    """
    change_order(
        options,
        lambda oms: oms.correct_fill(
            order_id,
            trade_id,
            fill_quantity=quantity,
            fill_price=price,
            fee=fee,
            reason=reason,
            **options.recorded(),
        ),
    )


# --- quarantine ---


def quarantine(context: typer.Context, *, query: AsOfQuery) -> None:
    """
    List the fills in quarantine.

    Each fill breaks a rule; accept or reject it. Its age is counted to the moment of the query, by default to the last
    event of the log.

    For example:

        oms quarantine

        oms quarantine accept q-2d5a5bc44bb8a883 --reason "confirmed"
    """
    if context.invoked_subcommand is not None:
        return
    with query.open_at() as (opened, basis):
        now = opened.queries.end_of(basis)
        rows = [quarantine_row(each, now) for each in opened.queries.waiting(basis)]
        if query.as_json:
            show_rows_json({"basis": basis.rows()}, "quarantine", rows)
        else:
            show_table(QUARANTINE, in_zone(rows, opened.moments.zone))
        print_basis(opened, basis, f"{counted(len(rows), 'fill')} in quarantine", quarantine=False)
        _print_ages(rows)


def _print_ages(rows: Sequence[Row]) -> None:
    # Not a column of the table: scripts and documents rely on its columns.
    ages = [age(row["age_ns"]) for row in rows[:MOST_AGES]]
    if ages:
        print_message(
            f"waiting for {', '.join(ages)}{', …' if len(rows) > MOST_AGES else ''}, by the last event of the log"
        )


def accept(
    quarantine_id: QuarantineId,
    symbol: Symbol = None,
    side: Side = None,
    reason: Reason = "",
    *,
    options: CommandOptions,
) -> None:
    """
    Accept a fill in quarantine.

    It is booked on its order and on the position, at the time of its execution.

    For example:

        oms quarantine accept q-2d5a5bc44bb8a883 --reason "confirmed"
    """
    change_order(
        options,
        lambda oms: oms.resolve_quarantined(
            quarantine_id, True, symbol=symbol, side=side, reason=reason, **options.recorded()
        ),
    )


def reject(quarantine_id: QuarantineId, reason: Reason = "", *, options: CommandOptions) -> None:
    """
    Reject a fill in quarantine.

    It remains in the log; orders and positions do not change.

    For example:

        oms quarantine reject q-2d5a5bc44bb8a883 --reason "reported twice"
    """
    change_order(
        options, lambda oms: oms.resolve_quarantined(quarantine_id, False, reason=reason, **options.recorded())
    )
    print_message(f"{quarantine_id} is rejected")
