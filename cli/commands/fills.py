"""Commands about fills: add, bust, correct, and decide about those in quarantine."""

from collections.abc import Sequence
from typing import Annotated

import typer

from oms_es.cli.basis import end_of, print_basis, when
from oms_es.cli.columns import QUARANTINE
from oms_es.cli.commands.orders import change_order
from oms_es.cli.context import open_log
from oms_es.cli.options import (
    Account,
    Actor,
    AsOfTime,
    AtSeq,
    CommandId,
    ConfigPath,
    Json,
    KnownAt,
    LogPath,
    OccurredAt,
    OrderId,
    Reason,
    TradeId,
)
from oms_es.cli.render import Row, age, counted, print_message, show_rows_json, show_table
from oms_es.cli.rows import quarantine_row

Quantity = Annotated[str, typer.Argument(metavar="QUANTITY", help="Executed, in base units.")]
Price = Annotated[str, typer.Argument(metavar="PRICE", help="Quote units per base unit.")]
NewTradeId = Annotated[
    str | None, typer.Option("--trade-id", metavar="ID", help="The venue's id; without one a repetition counts twice.")
]
Fee = Annotated[str, typer.Option(metavar="NUMBER", help="In quote units; below 0 for a rebate.")]
Symbol = Annotated[str | None, typer.Option(metavar="NAME", help="With --side: opens an unknown order.")]
Side = Annotated[str | None, typer.Option(metavar="SIDE", help="With --symbol: opens an unknown order.")]
Changed = Annotated[str | None, typer.Option(metavar="NUMBER", help="What it should have been.")]
MOST_AGES = 20
QuarantineId = Annotated[str, typer.Argument(metavar="ID", help="As `oms quarantine` lists it.")]


def fill(
    order_id: OrderId,
    quantity: Quantity,
    price: Price,
    trade_id: NewTradeId = None,
    fee: Fee = "0",
    symbol: Symbol = None,
    side: Side = None,
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Record an execution. One that breaks a rule waits in quarantine.

    For example:

        oms fill a-4 50 49.8 --trade-id a-4-t2 --fee 0.25
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.add_fill(
            order_id,
            quantity,
            price,
            trade_id,
            fee,
            symbol=symbol,
            side=side,
            account=account,
            command_id=command_id,
            occurred_at=occurred_at,
            actor=actor,
        ),
    )


def bust(
    order_id: OrderId,
    trade_id: TradeId,
    reason: Reason = "",
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Take a fill back. The position is as if it had never been.

    For example:

        oms bust a-4 a-4-t1 --reason "erroneous trade"
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.bust_fill(
            order_id,
            trade_id,
            reason=reason,
            account=account,
            command_id=command_id,
            occurred_at=occurred_at,
            actor=actor,
        ),
    )


def correct(
    order_id: OrderId,
    trade_id: TradeId,
    quantity: Changed = None,
    price: Changed = None,
    fee: Changed = None,
    reason: Reason = "",
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Put a fill right. The position is as if it had been so from the start.

    For example:

        oms correct a-4 a-4-t1 --price 49.79
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.correct_fill(
            order_id,
            trade_id,
            fill_quantity=quantity,
            fill_price=price,
            fee=fee,
            reason=reason,
            account=account,
            command_id=command_id,
            occurred_at=occurred_at,
            actor=actor,
        ),
    )


# --- quarantine ---


def quarantine(
    context: typer.Context,
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOfTime = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    as_json: Json = False,
) -> None:
    """
    List the fills that wait for a decision. Each breaks a rule; accept or reject it.

    Their age is counted to the moment asked about, else to the last event of the log.

    For example:

        oms quarantine

        oms quarantine accept q-2d5a5bc44bb8a883 --reason "confirmed"
    """
    if context.invoked_subcommand is not None:
        return
    moment = when(as_of, known_at, at_seq)
    with open_log(log, config) as opened:
        basis = opened.queries.basis(moment)
        now = end_of(opened, basis)
        rows = [quarantine_row(each, now) for each in opened.queries.waiting(basis)]
        if as_json:
            show_rows_json({"basis": basis.rows()}, "quarantine", rows)
        else:
            show_table(QUARANTINE, rows)
        print_basis(opened, basis, f"{counted(len(rows), 'fill')} in quarantine", waiting=False)
        _print_ages(rows)


def _print_ages(rows: Sequence[Row]) -> None:
    # Beside the rows and not in them: a column more would part from what scripts and documents show.
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
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Let a fill in quarantine move its order and the position, at the time it was executed.

    For example:

        oms quarantine accept q-2d5a5bc44bb8a883 --reason "confirmed"
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.resolve_quarantined(
            quarantine_id, True, symbol=symbol, side=side, reason=reason, command_id=command_id, actor=actor
        ),
    )


def reject(
    quarantine_id: QuarantineId,
    reason: Reason = "",
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Decide that a fill in quarantine was none; it stays in the log and moves nothing.

    For example:

        oms quarantine reject q-2d5a5bc44bb8a883 --reason "reported twice"
    """
    change_order(
        log,
        config,
        as_json,
        lambda oms: oms.resolve_quarantined(quarantine_id, False, reason=reason, command_id=command_id, actor=actor),
    )
    print_message(f"{quarantine_id} is rejected")
