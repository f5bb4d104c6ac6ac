"""
Rows as Arrow tables and Parquet files (extra `oms_es[parquet]`), with exact types.

Money and quantities are decimals, times are timestamps in ns UTC, trading days are dates. A decimal has 38 digits, 18
of them after the point, which pandas, polars and DuckDB read; a column with a longer number has as many as it needs, up
to 76. Nothing is rounded.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from oms_es.decimals import MAX_DECIMALS
from oms_es.errors import InvalidInput, OmsError
from oms_es.projections.rows import kind
from oms_es.timestamps import instant

BATCH = 10_000  # rows in memory at once, and in a row group
_DIGITS, _MOST_DIGITS = 38, 76  # of an Arrow decimal of 128 and of 256 bits
Row = dict[str, Any]
Size = tuple[int, int]  # digits before and after the point
_USUAL: Size = (_DIGITS - MAX_DECIMALS, MAX_DECIMALS)


class ParquetMissing(OmsError, ImportError):
    """pyarrow is not installed."""


class _Larger(Exception):
    """A number needs more digits than its column has."""


def arrow_table(rows: Iterable[Row], columns: Iterable[str]) -> Any:
    """
    Return rows as a `pyarrow.Table`.

    Raises:
        ParquetMissing: the extra is not installed.
        InvalidInput: a row has rows inside it, or a number has more than 76 digits.
    """
    arrow, found = _pyarrow(), list(rows)
    names = tuple(columns) or tuple(found[0] if found else ())
    columnar = _Columns(arrow, names)
    for row in found:
        columnar.fit(row)
    return arrow.Table.from_batches([columnar.batch(found)], columnar.schema())


def write_parquet(rows: Iterable[Row], columns: tuple[str, ...], path: Path) -> int:
    """Write rows batch by batch; return their number. `rows` is read again if a number needs a wider column."""
    arrow = _pyarrow()
    rows = list(rows) if isinstance(rows, Iterator) else rows
    columnar = _Columns(arrow, columns)
    while True:
        try:
            return _write(rows, columnar, path)
        except _Larger:
            continue


def _write(rows: Iterable[Row], columnar: "_Columns", path: Path) -> int:
    import pyarrow.parquet  # noqa: PLC0415 - an extra

    count, rest = 0, iter(rows)
    with pyarrow.parquet.ParquetWriter(path, columnar.schema()) as file:
        while batch := list(islice(rest, BATCH)):
            if sum(map(columnar.fit, batch)):
                raise _Larger
            file.write_batch(columnar.batch(batch))
            count += len(batch)
    return count


def _pyarrow() -> Any:
    try:
        import pyarrow  # noqa: PLC0415 - an extra: needed only here
    except ImportError:
        raise ParquetMissing("Arrow and Parquet need pyarrow: pip install 'oms_es[parquet]'") from None
    return pyarrow


class _Columns:
    """Columns with their types; those of decimals grow with the numbers."""

    def __init__(self, arrow: Any, names: tuple[str, ...]) -> None:
        self._arrow = arrow
        self._kinds = {name: kind(name) for name in names}
        self._sizes = {name: _USUAL for name, each in self._kinds.items() if each == "decimal"}

    def fit(self, row: Row) -> bool:
        """Widen the columns for the numbers of a row; return whether one was too narrow."""
        grown = False
        for name, (whole, decimals) in self._sizes.items():
            needed = _size(row[name])
            if needed[0] > whole or needed[1] > decimals:
                self._sizes[name] = _joined((whole, decimals), needed, name)
                grown = True
        return grown

    def schema(self) -> Any:
        """Return the schema."""
        return self._arrow.schema([(name, self._type(name)) for name in self._kinds])

    def _type(self, name: str) -> Any:
        arrow, kind_of_column = self._arrow, self._kinds[name]
        if kind_of_column == "decimal":
            whole, decimals = self._sizes[name]
            few = whole + decimals <= _DIGITS
            return arrow.decimal128(_DIGITS, decimals) if few else arrow.decimal256(_MOST_DIGITS, decimals)
        if kind_of_column == "time":
            return arrow.timestamp("ns", "UTC")
        return {"count": arrow.int64, "flag": arrow.bool_, "date": arrow.date32, "text": arrow.string}[kind_of_column]()

    def batch(self, rows: list[Row]) -> Any:
        """Return rows as a record batch."""
        arrays = []
        for name, each in self._kinds.items():
            cells = [_CELLS[each](row[name]) for row in rows]
            arrays.append(self._arrow.array(cells, self._arrow.int64() if each == "time" else self._type(name)))
            if each == "time":
                arrays[-1] = arrays[-1].cast(self._type(name))
        return self._arrow.record_batch(arrays, schema=self.schema())


def _size(value: Decimal | str | None) -> Size:
    if value is None:
        return (0, 0)
    _, digits, exponent = Decimal(value).as_tuple()
    assert isinstance(exponent, int), "the value is finite"
    return max(0, len(digits) + exponent), max(0, -exponent)


def _joined(one: Size, other: Size, name: str) -> Size:
    """Return a size for the numbers of both; digits before the point give way to more decimals."""
    whole, decimals = other[0], max(one[1], other[1])
    if one != _USUAL:
        whole = max(whole, one[0])
    if whole + decimals > _MOST_DIGITS:
        raise InvalidInput(f"{name}: a number has more than {_MOST_DIGITS} digits; export it as csv or jsonl")
    return max(whole, (_DIGITS if whole + decimals <= _DIGITS else _MOST_DIGITS) - decimals), decimals


def _text(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        if any(isinstance(each, dict) for each in value):
            raise InvalidInput("a row with rows inside it has no table; use to_dicts()")
        return "; ".join(map(str, value))
    if isinstance(value, dict):
        return "; ".join(f"{name}={_text(each)}" for name, each in value.items())
    return None if value is None else str(getattr(value, "value", value))


_CELLS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "flag": lambda value: value,
    "count": lambda value: value,
    "decimal": lambda value: None if value is None else Decimal(value),
    "date": lambda value: None if value is None else date.fromisoformat(value),
    "time": lambda value: None if value is None else instant(value),
}
