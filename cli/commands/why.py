"""Why a position is what it is, and why an order was let through or refused."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer

from oms_es.audit.why_order import Verdict, verdict_row, why_order
from oms_es.cli.basis import print_basis, when
from oms_es.cli.columns import CHECKS, LOTS, MATCHES, PAID
from oms_es.cli.context import open_log
from oms_es.cli.exit_codes import REFUSED
from oms_es.cli.filters import check_filter, named_order
from oms_es.cli.options import (
    Account,
    AllowEmpty,
    AsOfTime,
    AtSeq,
    ConfigPath,
    Json,
    KnownAt,
    LogPath,
    Method,
    OfAccount,
    OrderId,
)
from oms_es.cli.render import Column, brief, counted, print_message, show, show_rows_json, show_table
from oms_es.cli.results import check_names
from oms_es.decimals import ZERO, canonical, plus, text
from oms_es.domain.order import Order
from oms_es.identifiers import escaped
from oms_es.queries.explain import Why, why_positions
from oms_es.queries.queries import cost_method
from oms_es.timestamps import iso
from oms_es.vocabulary import CostMethod

Row = dict[str, Any]


def root(
    context: typer.Context,
    log: LogPath = None,  # noqa: ARG001 - the options of commands look here
    config: ConfigPath = None,  # noqa: ARG001
) -> None:
    """
    Say why: a position by the fills it is made of, an order by the limits it was judged on.

    For example:

        oms why position BOLT

        oms why order a-2
    """
    if context.invoked_subcommand is None:
        show(context.get_help())


# --- positions ---


def position(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL")],
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOfTime = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    account: OfAccount = None,
    method: Method = None,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    Show the open lots of a position and the matches that realized its P&L; both add up to it.

    A bust or a correction is booked as if the fill had been right from the start.

    For example:

        oms why position BOLT --as-of 2024-03-15T14:05:00Z --method lifo
    """
    moment, chosen = when(as_of, known_at, at_seq), cost_method(method)
    check_names(symbol, account)
    with open_log(log, config) as opened:
        basis = opened.queries.basis(moment, chosen)
        found = why_positions(opened.queries, basis, symbol, account)
        if as_json:
            show_rows_json({"basis": basis.rows()}, "positions", map(_why_row, found))
        else:
            for each in found:
                _show_why(each)
        print_basis(opened, basis, f"{counted(len(found), 'position')} in {symbol}", method=True)
        if not found:
            check_filter(opened, symbol=symbol, account=account, allow_empty=allow_empty)
    if basis.method is CostMethod.AVERAGE and found:
        print_message("by average cost all fills share one lot; it bears the number of the first of them")
    wrong = [each for each in found if not _adds_up(each)]
    for each in wrong:
        print_message(
            f"THE PARTS OF {each.held.account}/{each.held.symbol} DO NOT ADD UP; the log is damaged, or this is a bug"
        )
    if wrong:
        raise typer.Exit(REFUSED)


def _why_row(why: Why) -> Row:
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
        "adds_up": _adds_up(why),
    }


def _adds_up(why: Why) -> bool:
    held = why.held
    return (
        _sum(why.lots, "quantity") == held.quantity
        and _sum(why.lots, "cost") == held.cost_basis
        and _sum(why.matches, "realized_pnl") == held.gross
        and _sum(why.fees, "fee") == held.fees
    )


def _sum(rows: Iterable[Row], key: str) -> Decimal:
    total = ZERO
    for row in rows:
        total = plus(total, row[key])
    return canonical(total)


def _show_why(why: Why) -> None:
    held = why.held
    quantity, cost = text(held.quantity), text(held.cost_basis)
    show(escaped(f"{held.account}/{held.symbol}: {quantity} held, cost {cost} {held.currency}"))
    _show_parts(LOTS, why.lots, "occurred_at", ("quantity", "cost"))
    _show_parts(MATCHES, why.matches, "closed_by_occurred_at", ("realized_pnl",))
    _show_parts(PAID, why.fees, "occurred_at", ("fee",))
    show(f"realized {text(held.gross)} before fees - fees {text(held.fees)} = {text(held.realized)}\n")


def _show_parts(columns: Sequence[Column], rows: list[Row], moment: str, sums: tuple[str, ...]) -> None:
    """Show rows, and under them what they add up to."""
    if not rows:
        return
    lines = [{**row, "when": brief(row[moment])} for row in rows]
    names = {name: None for row in rows for name in row}
    footer = {**names, "when": "in all", **{name: _sum(rows, name) for name in sums}}
    show_table(columns, [*lines, footer], footer=True)


# --- orders ---


def order(
    order_id: OrderId,
    account: Account = None,
    log: LogPath = None,
    config: ConfigPath = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    as_json: Json = False,
) -> None:
    """
    Show every check an order was judged by: what was looked at, the limit, and whether it held.

    The checks are worked out again on the log as it stood before the order, and compared with what was recorded; a
    difference ends with exit code 1.

    For example:

        oms why order a-2 --log day.db
    """
    moment = when(None, known_at, at_seq)
    check_names(None, account)
    with open_log(log, config) as opened:
        basis = opened.queries.basis(moment)
        this = named_order(opened, opened.queries.orders_named(order_id, account, basis), order_id, account)
        verdicts = [each for each in why_order(opened.log, this, opened.first_method()) if each.seq <= basis.seq]
        if as_json:
            head = {"basis": basis.rows(), "order_id": this.order_id, "account": this.account}
            show_rows_json(head, "verdicts", map(verdict_row, verdicts))
        else:
            for each in verdicts:
                _show_verdict(each)
        _print_verdicts(this, verdicts)
        print_basis(opened, basis, f"order {this.order_id}")
    if not all(each.agrees for each in verdicts):
        raise typer.Exit(REFUSED)


def _show_verdict(verdict: Verdict) -> None:
    when_asked = brief(iso(verdict.recorded_at))
    rules = f"limits of seq {verdict.limits_seq}" if verdict.limits_seq else "no limits were set"
    show(escaped(f"seq {verdict.seq}, {when_asked}, day {verdict.trading_day}: {verdict.asked} ({rules})"))
    show_table(CHECKS, verdict.checks)
    outcome = "; ".join(verdict.recorded) or "let through"
    show(escaped(f"recorded: {outcome}") + "\n")


def _print_verdicts(order: Order, verdicts: list[Verdict]) -> None:
    if not verdicts:
        print_message(f"order {order.order_id} was never judged: it was imported, or is another session's")
    for each in verdicts:
        if each.agrees:
            print_message(f"seq {each.seq}: judging again comes to the same")
            continue
        print_message(
            f"seq {each.seq}: JUDGING AGAIN COMES TO SOMETHING ELSE; the log or the rules are not what they were"
        )
        print_message(f"  recorded: {'; '.join(each.recorded) or 'let through'}")
        print_message(f"  now:      {'; '.join(each.recomputed) or 'let through'}")
