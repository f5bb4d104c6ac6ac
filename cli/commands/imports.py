"""Commands that take history in: facts, and LOBSTER days."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from oms_es import OrderManagementSystem
from oms_es.cli.columns import IMPORTED, LEFT_OUT
from oms_es.cli.context import carry_out, place
from oms_es.cli.options import ConfigPath, Json, LogPath
from oms_es.cli.progress import watched
from oms_es.cli.render import counted, print_message, show, show_json, show_table
from oms_es.domain.validation import named_account
from oms_es.errors import ImportFailed
from oms_es.identifiers import identifier
from oms_es.importers.facts import Defaults, Fact, read_facts
from oms_es.importers.importer import Imported, import_facts
from oms_es.importers.lobster import Left, LobsterDay

MOST_LISTED = 20
File = Annotated[Path, typer.Argument(metavar="FILE", help="Is read twice: checked to its end, then carried out.")]
OrderAccount = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Whose, where the file names none [default: default].")
]
Prefix = Annotated[
    str, typer.Option("--id-prefix", metavar="TEXT", help="Put before every order id, for feeds whose ids repeat.")
]
Symbol = Annotated[str, typer.Option(metavar="NAME", help="What the file is about.")]
Date = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="The day of the file.")]
Book = Annotated[Path | None, typer.Option(metavar="FILE", help="The orderbook file: gives a mark a minute.")]


def root(
    context: typer.Context,
    log: LogPath = None,  # noqa: ARG001 - the options of commands look here
    config: ConfigPath = None,  # noqa: ARG001
) -> None:
    """
    Take history in. It is not judged, and importing it again adds nothing.

    For example:

        oms import facts history.jsonl --log history.db
    """
    if context.invoked_subcommand is None:
        show(context.get_help())


def facts(
    file: File,
    account: OrderAccount = None,
    id_prefix: Prefix = "",
    log: LogPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """
    Import facts, one JSON object a line. Importing them again adds nothing; a .gz file is unpacked.

    For example:

        oms import facts history.jsonl --log history.db
    """
    defaults = _defaults(account, id_prefix)

    def tell(outcome: Imported) -> None:
        if as_json:
            show_json(outcome.rows())
        else:
            show_table(IMPORTED, [outcome.rows()])
        _print_outcome(outcome, file, place(log, config).log)

    _import(file, lambda: read_facts(file, defaults), log, config, tell)


def lobster(
    file: File,
    symbol: Symbol,
    date: Date,
    book: Book = None,
    account: OrderAccount = None,
    id_prefix: Prefix = "",
    log: LogPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """
    Import a LOBSTER message file, a NASDAQ day. Says what of it was applied and what was left out.

    For example:

        oms import lobster amzn.csv --symbol AMZN --date 2012-06-21
    """
    day = LobsterDay(file, identifier(symbol, "--symbol"), date.date(), book, _defaults(account, id_prefix))
    if book is not None:
        _check_readable_twice(book)

    def tell(outcome: Imported) -> None:
        if as_json:
            show_json({**outcome.rows(), "left_out": day.left.rows_out()})
        else:
            show_table(IMPORTED, [outcome.rows()])
            show_table(LEFT_OUT, left_rows(day.left))
        _print_outcome(outcome, file, place(log, config).log)

    _import(file, day.read, log, config, tell)


def _defaults(account: str | None, id_prefix: str) -> Defaults:
    return Defaults(account=named_account(account), id_prefix=id_prefix and identifier(id_prefix, "--id-prefix"))


def _import(
    file: Path,
    read: Callable[[], Iterator[Fact]],
    log: Path | None,
    config: Path | None,
    tell: Callable[[Imported], None],
) -> None:
    _check_readable_twice(file)

    async def run(oms: OrderManagementSystem) -> Imported:
        with watched(read) as (checked, progress):
            return await import_facts(oms.sequencer, checked, progress)

    carry_out(log, config, run, tell)


def _check_readable_twice(file: Path) -> None:
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise ImportFailed(f"{file}: is a pipe or a device and cannot be read twice; save it as a file first")


def _print_outcome(outcome: Imported, file: Path, log: Path) -> None:
    problems = outcome.problems
    for problem in problems[:MOST_LISTED]:
        what = "refused" if problem.quarantine_id is None else f"waits in quarantine as {problem.quarantine_id}"
        print_message(f"{file}:{problem.line}: {problem.kind} {what}: {problem.why}")
    if len(problems) > MOST_LISTED:
        print_message(f"and {len(problems) - MOST_LISTED:,} more")
    rate = f" ({outcome.facts / outcome.seconds:,.0f} facts/s)" if outcome.seconds else ""
    print_message(f"{counted(outcome.facts, 'fact')} in {outcome.seconds:.2f} s{rate}, {_new(outcome)} in {log}")
    if outcome.quarantined:
        print_message(f"{counted(outcome.quarantined, 'fill')} went into quarantine (oms quarantine)")


def _new(outcome: Imported) -> str:
    if not outcome.events:
        return "nothing new"
    return f"{counted(outcome.events, 'new event')} (seq {outcome.first_seq} to {outcome.last_seq})"


def left_rows(left: Left) -> list[dict[str, Any]]:
    """Return what of each kind of row was applied and what was left out."""
    earlier = "of orders from before the file"
    table = (
        ("submissions", left.submissions, 0, ""),
        ("executions", left.executions, left.earlier_executions, earlier),
        ("hidden executions", 0, left.hidden_executions, "of orders that nobody sees"),
        ("reductions", left.reductions, left.earlier_reductions, earlier),
        ("deletions", left.deletions, left.earlier_deletions, earlier),
        ("uneven deletions", left.uneven_deletions, 0, "among the deletions: another size than was open"),
        ("cross trades", 0, left.cross_trades, "of no single order"),
        ("halts", 0, left.halts, "no order"),
        ("marks", left.marks, 0, "from the orderbook file"),
    )
    rows = [{"rows": r, "applied": a, "left_out": o, "why": w} for r, a, o, w in table]
    return [row for row in rows if row["applied"] or row["left_out"]]
