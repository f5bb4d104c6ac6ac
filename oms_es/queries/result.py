"""The list that a query of the API returns: with its basis, and as plain rows or an Arrow table."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from oms_es.queries.queries import Basis

T = TypeVar("T")


class QueryResult(list[T]):
    """
    A list of views or rows, with their basis.

    Args:
        items: the views, or the rows themselves.
        basis: the events and the cost method behind them.
        columns: the names of the columns, so that an empty table has them too.
        rows: returns the rows of the views.
    """

    def __init__(
        self,
        items: Iterable[T],
        basis: Basis,
        columns: tuple[str, ...] = (),
        rows: Callable[[], list[dict[str, Any]]] | None = None,
    ) -> None:
        super().__init__(items)
        self.basis = basis
        self._columns = columns
        self._rows = rows

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return plain rows with the keys of `--json`: exact decimals, times as ISO text; for pandas and polars."""
        return [dict(each) for each in self] if self._rows is None else self._rows()  # type: ignore[call-overload]

    def to_arrow(self) -> Any:
        """
        Return a `pyarrow.Table` with decimal, timestamp and date types; pandas, polars and DuckDB read it as it is.

        Raises:
            ParquetMissing: pyarrow is not installed (`pip install 'oms_es[parquet]'`).
        """
        from oms_es.queries.arrow import arrow_table  # noqa: PLC0415 - an extra

        return arrow_table(self.to_dicts(), self._columns)
