"""What a filter names: a symbol, an account, an order or a day that the log does not contain is reported."""

import typer

from oms_es.cli.guard import REFUSED
from oms_es.cli.opening import Asked
from oms_es.cli.render import say
from oms_es.identifiers import shown
from oms_es.known_names import Name, Unknown, topics_with, unknown_names
from oms_es.log.sqlite import SqliteLog
from oms_es.reading import When


def check_filter(
    asked: Asked,
    *,
    symbol: str | None = None,
    account: str | None = None,
    order: str | None = None,
    day: str | None = None,
    allow_empty: bool,
) -> None:
    """
    Report what a filter names and the log does not contain, at any moment; exit code 1 unless `allow_empty`.

    To be called where an answer has no rows: rows show that the log contains what the filter names.
    """
    given = {"symbol": symbol, "account": account, "order": order}
    names = [Name(kind, text) for kind, text in given.items() if text is not None]
    unknown = unknown_in_log(asked, names)
    for each in unknown:
        say(f"{each} in this log{each.hint()}")
    strange_day = day is not None and not asked.log.last_of_day(day)
    if strange_day:
        say(f"no event is booked on {shown(day)}{_days(asked.log)}")
    if (unknown or strange_day) and not allow_empty:
        raise typer.Exit(REFUSED)


def unknown_in_log(asked: Asked, names: list[Name]) -> list[Unknown]:
    """Return which names the whole log does not contain; it is read only for a name that no index has."""
    open_names = [name for name in names if not _is_indexed(asked, name)]
    return unknown_names(open_names, asked.log.read(topics=topics_with(open_names))) if open_names else []


def _is_indexed(asked: Asked, name: Name) -> bool:
    if name.kind == "account":
        return asked.log.holds_name(f"order/{name.text}/") or bool(asked.log.stream(f"policy/{name.text}"))
    if name.kind == "order":
        return bool(asked.log.order_streams(name.text))
    positions = asked.questions.positions(asked.questions.basis(When()))
    return any(name.text in cell.settled for cell in (positions.holders, positions.marks, positions.instruments))


def _days(log: SqliteLog) -> str:
    """Return in words on which days the first and the last event are booked."""
    last = log.head().seq
    ends = [each.trading_day for seq in (1, last) if last for each in log.read(seq - 1, seq)]
    return f" (the first event is booked on {ends[0]}, the last on {ends[-1]})" if ends else ""
