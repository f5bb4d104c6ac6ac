"""`oms why`: the fills behind a position, and the risk checks behind an accepted or rejected order."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import typer

from oms_es.audit.why_order import Verdict, verdict_row, why_order
from oms_es.cli.basis import print_basis
from oms_es.cli.columns import CHECKS, LOTS, MATCHES, PAID, exact
from oms_es.cli.exit_codes import REFUSED
from oms_es.cli.filters import check_filter, named_order
from oms_es.cli.layout import Column
from oms_es.cli.options import (
    Account,
    AccountQuery,
    KnownAtQuery,
    LogOptions,
    Method,
    OrderId,
    SymbolArgument,
)
from oms_es.cli.render import counted, in_zone, print_message, show, show_rows_json, show_table, shown_time
from oms_es.decimals import text
from oms_es.domain.order import Order
from oms_es.identifiers import account as checked_account
from oms_es.identifiers import escaped, identifier
from oms_es.queries.explain import Why, adds_up, total_of, why_positions, why_row
from oms_es.queries.queries import cost_method
from oms_es.timestamps import local_iso
from oms_es.vocabulary import CostMethod

Row = dict[str, Any]


def root(context: typer.Context, *, options: LogOptions) -> None:  # noqa: ARG001 - the options of commands look there
    """
    Explain a position or a decision on an order.

    For example:

        oms why position BOLT

        oms why order a-2
    """
    if context.invoked_subcommand is None:
        show(context.get_help())


# --- positions ---


def position(symbol: SymbolArgument, method: Method = None, *, query: AccountQuery) -> None:
    """
    Show the lots and matches of a position.

    The open lots add up to the position, the matches to its realized P&L. A busted or corrected fill counts as if it
    had been right from the start.

    For example:

        oms why position BOLT --as-of 2024-03-15T14:05:00Z --method lifo
    """
    identifier(symbol, "--symbol")
    with query.open_at(cost_method(method)) as (opened, basis):
        only = query.rows_at(opened)
        parts = why_positions(opened.queries, basis, symbol, None)
        found = [each for each in parts if only.accepts(each.held.account, symbol)]
        if query.as_json:
            show_rows_json({"basis": basis.rows()}, "positions", map(why_row, found))
        else:
            for each in found:
                _show_why(each, opened.moments.zone, exact(LOTS) if query.exact else LOTS)
        print_basis(opened, basis, f"{counted(len(found), 'position')} in {symbol}", method=True)
        if not found:
            check_filter(opened, {"symbol": symbol, **query.names}, allow_empty=query.allow_empty)
    if basis.method is CostMethod.AVERAGE and found:
        print_message("by average cost all fills are one lot; its number is that of the first fill")
    wrong = [each for each in found if not adds_up(each)]
    for each in wrong:
        print_message(
            f"THE PARTS OF {each.held.account}/{each.held.symbol} DO NOT ADD UP; the log is damaged, or this is a bug"
        )
    if wrong:
        raise typer.Exit(REFUSED)


def _show_why(why: Why, zone: ZoneInfo, lots: tuple[Column, ...]) -> None:
    held = why.held
    quantity, cost = text(held.quantity), text(held.cost_basis)
    show(escaped(f"{held.account}/{held.symbol}: {quantity} held, cost {cost} {held.currency}"))
    _show_parts(lots, why.lots, zone, "occurred_at", ("quantity", "cost"))
    _show_parts(MATCHES, why.matches, zone, "closed_by_occurred_at", ("realized_pnl",))
    _show_parts(PAID, why.fees, zone, "occurred_at", ("fee",))
    show(f"realized {text(held.gross)} before fees - fees {text(held.fees)} = {text(held.realized)}\n")


def _show_parts(columns: Sequence[Column], rows: list[Row], zone: ZoneInfo, moment: str, sums: tuple[str, ...]) -> None:
    """Print rows and, below them, their sums."""
    if not rows:
        return
    lines = [{**row, "when": shown_time(row[moment])} for row in in_zone(rows, zone)]
    names = {name: None for row in rows for name in row}
    footer = {**names, "when": "in all", **{name: total_of(rows, name) for name in sums}}
    show_table(columns, [*lines, footer], footer=True)


# --- orders ---


def order(order_id: OrderId, account: Account = None, *, query: KnownAtQuery) -> None:
    """
    Show the risk checks of an order.

    For each check: its inputs, its limits and its result. The checks run again on the log before the order, and the
    results are compared with the recorded ones; a difference ends with exit code 1.

    For example:

        oms why order a-2 --log day.db
    """
    if account is not None:
        checked_account(account, "--account")
    with query.open_at() as (opened, basis):
        this = named_order(opened, opened.queries.orders_named(order_id, account, basis), order_id, account)
        verdicts = [each for each in why_order(opened.log, this, opened.first_method()) if each.seq <= basis.seq]
        if query.as_json:
            head = {"basis": basis.rows(), "order_id": this.order_id, "account": this.account}
            show_rows_json(head, "verdicts", map(verdict_row, verdicts))
        else:
            for each in verdicts:
                _show_verdict(each, opened.moments.zone)
        _print_verdicts(this, verdicts)
        print_basis(opened, basis, f"order {this.order_id}")
    if not all(each.agrees for each in verdicts):
        raise typer.Exit(REFUSED)


def _show_verdict(verdict: Verdict, zone: ZoneInfo) -> None:
    recorded_at = local_iso(verdict.recorded_at, zone)
    rules = f"limits of seq {verdict.limits_seq}" if verdict.limits_seq else "no limits were set"
    show(escaped(f"seq {verdict.seq}, {recorded_at}, day {verdict.trading_day}: {verdict.asked} ({rules})"))
    show_table(CHECKS, verdict.checks)
    outcome = "; ".join(verdict.recorded) or "accepted"
    show(escaped(f"recorded: {outcome}") + "\n")


def _print_verdicts(order: Order, verdicts: list[Verdict]) -> None:
    if not verdicts:
        print_message(f"order {order.order_id} was never judged: it was imported, or it is an external order")
    for each in verdicts:
        if each.agrees:
            print_message(f"seq {each.seq}: the checks give the same result now")
            continue
        print_message(f"seq {each.seq}: THE CHECKS GIVE ANOTHER RESULT NOW; the log or the rules have changed")
        print_message(f"  recorded: {'; '.join(each.recorded) or 'accepted'}")
        print_message(f"  now:      {'; '.join(each.recomputed) or 'accepted'}")
