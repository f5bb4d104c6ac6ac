"""P&L queries: per trading day, and compared with the daily loss limit."""

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any

import typer

from oms_es.cli.columns import AT, DAILY, PNL, PNL_METHODS
from oms_es.cli.context import OpenLog
from oms_es.cli.options import AccountRowsQuery, AnyMethod, Every, Method, OfDay, RowsQuery
from oms_es.cli.results import answer
from oms_es.decimals import ZERO, canonical, divide, minus, negate
from oms_es.domain.policy import Policy
from oms_es.errors import InvalidInput
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.queries.moments import span_of_time
from oms_es.queries.queries import Basis, summed
from oms_es.queries.series import Grid, pnl_series
from oms_es.vocabulary import EVERY_ACCOUNT

Row = dict[str, Any]


class Sum(str, Enum):
    """The key of sums."""

    SYMBOL = "symbol"
    ACCOUNT = "account"


By = Annotated[
    Sum | None,
    typer.Option(
        "--by",
        metavar="symbol|account",
        help="Add up by symbol (over accounts) or by account (over symbols), per currency; in JSON the other key is "
        "null.",
        show_default=False,
    ),
]


def pnl(by: By = None, day: OfDay = None, method: AnyMethod = None, every: Every = None, *, query: RowsQuery) -> None:
    """
    Show P&L per trading day, account and symbol.

    Realized is net of fees; unrealized is the level at the end of the day; change is the change of that level on the
    day; total is realized plus change. A day without events has no row. With --method all, the P&L by each cost method
    is side by side. With --every, each point has the P&L of its trading day so far; the points are those of `oms
    positions`.

    For example:

        oms pnl --day 2024-03-15 --by account

        oms pnl --every 1h --account default
    """
    if every is not None and by is not None:
        raise InvalidInput("--every has a row for each account and symbol; it does not go with --by")
    step = None if every is None else span_of_time(every, "--every")

    def ask(opened: OpenLog, basis: Basis) -> list[Row]:
        only, calendar = query.rows_at(opened), opened.moments.calendar
        if step is not None:
            rows = pnl_series(opened.queries, basis, Grid(every=step, calendar=calendar, only=only))
        else:
            rows = only.named(opened.queries.days(basis))
            if by is not None:
                keys = ("trading_day", "account", "symbol")  # the one that was added up over is null
                rows = [{**{key: row.get(key) for key in keys}, **row} for row in summed(rows, by.value)]
            rows = only.of_days(rows, calendar)
        return [row for row in rows if day in (None, row["trading_day"])]

    columns, by_method = (PNL, PNL_METHODS) if every is None else ((AT, *PNL), (AT, *PNL_METHODS))
    names = {"day": day}
    answer(ask, "days", columns, query, names=names, method=method, by_method=by_method, show_method=True, noun="row")


def daily(day: OfDay = None, method: Method = None, *, query: AccountRowsQuery) -> None:
    """
    Show daily P&L and the use of the loss limit.

    The limit is the one in force after the last event of the trading day. Realized P&L counts against it; with
    daily_loss.basis total also the change of unrealized P&L.

    For example:

        oms daily --day 2024-03-15 --account alpha
    """

    def ask(opened: OpenLog, basis: Basis) -> list[Row]:
        only = query.rows_at(opened)
        days = [row for row in only.named(opened.queries.days(basis)) if day in (None, row["trading_day"])]
        rows = summed(only.of_days(days, opened.moments.calendar), "account")
        policies = dict(_policies(opened, basis, rows))
        return [_limited(row, policies[row["trading_day"], row["account"]]) for row in rows]

    answer(ask, "days", DAILY, query, names={"day": day}, method=method, show_method=True, noun="row")


def _policies(opened: OpenLog, basis: Basis, rows: list[Row]) -> Iterator[tuple[tuple[str, str], Policy]]:
    """Yield the policy of each account in `rows` at the end of each trading day."""
    scopes = {EVERY_ACCOUNT, *(row["account"] for row in rows)}
    events = [each for scope in scopes for each in opened.log.stream(f"policy/{scope}")]
    changes = deque(sorted(events, key=lambda each: each.seq))
    ends = opened.log.ends_of_days(basis.seq, Positions.topics() | Policies.topics())
    policies = opened.queries.policies(0)
    for day, seq in sorted(ends.items(), key=lambda each: each[1]):
        while changes and changes[0].seq <= seq:
            policies.apply(changes.popleft())
        policies.commit()
        accounts = [row["account"] for row in rows if row["trading_day"] == day]
        yield from (((day, account), policies.policy(account)) for account in accounts)


_FIGURES = (
    *("trading_day", "account", "currency", "realized_pnl", "gross_realized_pnl", "fees"),
    *("unrealized_change", "total_pnl", "fills"),
)


def _limited(row: Row, policy: Policy) -> Row:
    policy = policy.of("", row["currency"])
    result = row["total_pnl"] if policy.basis == "total" else row["realized_pnl"]
    loss, limit = max(ZERO, canonical(negate(result))), policy.max_daily_loss
    return {
        **{name: row[name] for name in _FIGURES},
        "basis": policy.basis,
        "loss": loss,
        "max_daily_loss": limit,
        "left": None if limit is None else canonical(minus(limit, loss)),
        "used": divide(loss, limit) if limit else None,
    }
