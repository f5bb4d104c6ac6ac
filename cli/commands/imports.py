"""Commands that import history: facts, and LOBSTER days."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from oms_es import OrderManagementSystem
from oms_es.cli.columns import IMPORTED, LEFT_OUT
from oms_es.cli.context import place
from oms_es.cli.options import CommonOptions, LogOptions
from oms_es.cli.progress import facts_with_progress
from oms_es.cli.render import counted, print_message, show, show_json, show_table
from oms_es.domain.validation import named_account
from oms_es.errors import ImportFailed
from oms_es.identifiers import identifier
from oms_es.importers.facts import Defaults, Fact, read_facts
from oms_es.importers.importer import Imported, import_facts
from oms_es.importers.lobster import Left, LobsterDay

MOST_LISTED = 20
File = Annotated[Path, typer.Argument(metavar="FILE", help="It is read twice: to check every line, then to import.")]
OrderAccount = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="The account of lines without one [default: default].")
]
Prefix = Annotated[
    str, typer.Option("--id-prefix", metavar="TEXT", help="A prefix for every order id, for feeds whose ids repeat.")
]
Symbol = Annotated[str, typer.Option(metavar="NAME", help="The symbol of the file.")]
Date = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="The day of the file.")]
Book = Annotated[Path | None, typer.Option(metavar="FILE", help="The orderbook file; it gives one mark per minute.")]


def root(context: typer.Context, *, options: LogOptions) -> None:  # noqa: ARG001 - the options of commands look there
    """
    Import orders, fills and marks; idempotent.

    Imported history is not judged by risk checks.

    For example:

        oms import facts history.jsonl --log history.db
    """
    if context.invoked_subcommand is None:
        show(context.get_help())


def facts(file: File, account: OrderAccount = None, id_prefix: Prefix = "", *, options: CommonOptions) -> None:
    """
    Import facts, one JSON object per line.

    Facts that are in the log already are skipped. A .gz file is decompressed.

    For example:

        oms import facts history.jsonl --log history.db
    """
    defaults = _defaults(account, id_prefix)
    _import(file, lambda: read_facts(file, defaults), options)


def lobster(
    file: File,
    symbol: Symbol,
    date: Date,
    book: Book = None,
    account: OrderAccount = None,
    id_prefix: Prefix = "",
    *,
    options: CommonOptions,
) -> None:
    """
    Import a LOBSTER message file (a NASDAQ day).

    The report lists the rows that were applied and those that were left out.

    For example:

        oms import lobster amzn.csv --symbol AMZN --date 2012-06-21
    """
    day = LobsterDay(file, identifier(symbol, "--symbol"), date.date(), book, _defaults(account, id_prefix))
    if book is not None:
        _check_readable_twice(book)
    _import(file, day.read, options, day)


def _defaults(account: str | None, id_prefix: str) -> Defaults:
    return Defaults(account=named_account(account), id_prefix=id_prefix and identifier(id_prefix, "--id-prefix"))


def _import(
    file: Path, read: Callable[[], Iterator[Fact]], options: CommonOptions, day: LobsterDay | None = None
) -> None:
    """Import facts and report the outcome; that of a day with the rows that were left out."""
    _check_readable_twice(file)

    done = Imported(problems=[])

    async def run(oms: OrderManagementSystem) -> Imported:
        return await import_facts(oms.sequencer, facts_with_progress(read), done)

    def report(outcome: Imported) -> None:
        if options.as_json:
            show_json({**outcome.rows(), **({} if day is None else {"left_out": day.left.rows_out()})})
        else:
            show_table(IMPORTED, [outcome.rows()])
            show_table(LEFT_OUT, [] if day is None else left_rows(day.left))
        _print_outcome(outcome, file, place(options.log, options.config).log)

    try:
        options.carry_out(run, report)
    except KeyboardInterrupt:
        print_message(f"interrupted after {counted(done.facts, 'fact')}, {_new(done)}; the log is complete up to there")
        print_message("run the same command again to import the rest: facts that are in the log are skipped")
        raise


def _check_readable_twice(file: Path) -> None:
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise ImportFailed(f"{file}: a pipe or a device cannot be read twice; save it as a file first")


def _print_outcome(outcome: Imported, file: Path, log: Path) -> None:
    problems = outcome.problems
    for problem in problems[:MOST_LISTED]:
        what = "refused" if problem.quarantine_id is None else f"is in quarantine as {problem.quarantine_id}"
        print_message(f"{file}:{problem.line}: {problem.kind} {what}: {problem.why}")
    if len(problems) > MOST_LISTED:
        print_message(f"and {len(problems) - MOST_LISTED:,} more")
    rate = f" ({outcome.facts / outcome.seconds:,.0f} facts/s)" if outcome.seconds else ""
    print_message(f"{counted(outcome.facts, 'fact')} in {outcome.seconds:.2f} s{rate}, {_new(outcome)} in {log}")
    if outcome.quarantined:
        print_message(f"{counted(outcome.quarantined, 'fill')} added to the quarantine (oms quarantine)")


def _new(outcome: Imported) -> str:
    if not outcome.events:
        return "nothing new"
    return f"{counted(outcome.events, 'new event')} (seq {outcome.first_seq} to {outcome.last_seq})"


def left_rows(left: Left) -> list[dict[str, Any]]:
    """Return how many rows of each kind were applied, and how many were left out."""
    earlier = "of orders from before the file"
    table = (
        ("submissions", left.submissions, 0, ""),
        ("executions", left.executions, left.earlier_executions, earlier),
        ("hidden executions", 0, left.hidden_executions, "of orders that the book does not show"),
        ("reductions", left.reductions, left.earlier_reductions, earlier),
        ("deletions", left.deletions, left.earlier_deletions, earlier),
        ("uneven deletions", left.uneven_deletions, 0, "among the deletions: another size than was open"),
        ("cross trades", 0, left.cross_trades, "of no single order"),
        ("halts", 0, left.halts, "no order"),
        ("marks", left.marks, 0, "from the orderbook file"),
    )
    rows = [{"rows": r, "applied": a, "left_out": o, "why": w} for r, a, o, w in table]
    return [row for row in rows if row["applied"] or row["left_out"]]
