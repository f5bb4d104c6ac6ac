"""
Rows as inert JSON in a page: column by column, because the rows of a day repeat most of their values.

A column is one of: a list of values; {"same": value}; {"from": n} for n, n + 1, …; {"values": […], "at": […]} with the
place of each row's value; {"like": name} for that of another column. `rows_of` is the way back; `data.js` does the same
in the browser.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from oms_es.queries.json_text import json_text

Row = dict[str, Any]
CHUNK = 5_000  # rows; a browser parses as many in some milliseconds


def packed(rows: Sequence[Row]) -> dict[str, Any]:
    """Return rows with the same keys as columns."""
    found: dict[str, list[Any]] = {}
    columns: dict[str, Any] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        like = next((other for other, known in found.items() if _is_same(known, values)), None)
        columns[name] = _column(values) if like is None else {"like": like}
        if like is None:
            found[name] = values
    return {"rows": len(rows), "columns": columns}


def _is_same(one: list[Any], other: list[Any]) -> bool:
    """Return whether two columns are the same as JSON, where 1, true and "1" differ."""
    return one == other and list(map(type, one)) == list(map(type, other))


def _column(values: list[Any]) -> Any:
    first = values[0]
    if type(first) is int and values == list(range(first, first + len(values))):
        return {"from": first}
    kinds = set(map(type, values))
    if list in kinds or dict in kinds or {int, bool} <= kinds:  # without a hash, or 1 would be equal to true
        return values
    distinct = dict.fromkeys(values)
    if len(distinct) == 1:
        return {"same": first}
    if len(distinct) > len(values) // 2:
        return values
    places = {value: place for place, value in enumerate(distinct)}
    return {"values": list(distinct), "at": [places[value] for value in values]}


def rows_of(content: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of packed columns."""
    stored, columns = content["columns"], dict[str, list[Any]]()
    for name, column in stored.items():
        is_like = isinstance(column, dict) and "like" in column
        columns[name] = list(_values(stored[column["like"]] if is_like else column, content["rows"]))
    for n in range(content["rows"]):
        yield {name: values[n] for name, values in columns.items()}


def _values(column: Any, count: int) -> Iterable[Any]:
    if isinstance(column, list):
        return column
    if "same" in column:
        return [column["same"]] * count
    if "from" in column:
        return range(column["from"], column["from"] + count)
    return [column["values"][place] for place in column["at"]]


def chunks(rows: Sequence[Row], size: int = CHUNK) -> list[dict[str, Any]]:
    """Return rows as packed chunks."""
    return [packed(rows[start : start + size]) for start in range(0, len(rows), size)]


def inert(value: object) -> str:
    """Return JSON in which `<` is escaped, so that no browser takes it for markup."""
    return inert_text(json_text(value))


def inert_text(json: str) -> str:
    """Return JSON text that no browser takes for markup."""
    return json.replace("<", "\\u003c")
