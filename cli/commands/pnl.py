"""Questions about money: what each trading day brought, and how far it is from the daily-loss limit."""

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any

import typer

from oms_es.cli.basis import when
from oms_es.cli.columns import DAILY, PNL, PNL_METHODS
from oms_es.cli.context import OpenLog, open_log
from oms_es.cli.filters import check_filter
from oms_es.cli.options import (
    AllowEmpty,
    AnyMethod,
    AsOfTime,
    AtSeq,
    ConfigPath,
    Json,
    KnownAt,
    LogPath,
    Method,
    OfAccount,
    OfDay,
    OfSymbol,
)
from oms_es.cli.results import answer, by_method, check_names, checked_day, is_every
from oms_es.decimals import ZERO, canonical, divide, minus, negate
from oms_es.domain.policy import Policy
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.queries.queries import Basis, cost_method, narrowed, summed
from oms_es.vocabulary import EVERY_ACCOUNT

Row = dict[str, Any]


class Sum(str, Enum):
    """What rows are added up by."""

    SYMBOL = "symbol"
    ACCOUNT = "account"


By = Annotated[
    Sum | None,
    typer.Option(
        "--by",
        metavar="symbol|account",
        help="Add up by symbol (over accounts) or by account (over symbols), per currency; in JSON the key that was "
        "added up over is null.",
        show_default=False,
    ),
]


def pnl(
    by: By = None,
    day: OfDay = None,
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOfTime = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    symbol: OfSymbol = None,
    account: OfAccount = None,
    method: AnyMethod = None,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    Show what each trading day brought, by account and symbol.

    Realized is net of fees; unrealized is the level at the day's end, change how far it moved that day, total is
    realized and change. Days on which nothing happened have no row. With --method all, what each cost method makes of
    it stands side by side.

    For example:

        oms pnl --day 2024-03-15 --by account
    """
    moment, every, wanted = when(as_of, known_at, at_seq), is_every(method), checked_day(day)
    chosen = None if every else cost_method(method)
    check_names(symbol, account)

    def earned(basis: Basis) -> list[Row]:
        rows = narrowed(opened.queries.days(basis), symbol, account)
        if by is not None:
            rows = [_whole(row) for row in summed(rows, by.value)]
        return [row for row in rows if wanted in (None, row["trading_day"])]

    with open_log(log, config) as opened:
        if every:
            found = by_method(opened, moment, earned, "row", PNL_METHODS, as_json=as_json)
        else:
            basis = opened.queries.basis(moment, chosen)
            rows = earned(basis)
            answer(opened, basis, "days", rows, PNL, as_json=as_json, method=True, things="rows")
            found = bool(rows)
        if not found:
            check_filter(opened, symbol=symbol, account=account, day=wanted, allow_empty=allow_empty)


def _days(opened: OpenLog, basis: Basis, day: str | None) -> list[Row]:
    return [row for row in opened.queries.days(basis) if day in (None, row["trading_day"])]


def _whole(row: Row) -> Row:
    """Return a row of sums with the keys of all rows, in their order; what was added up over is null."""
    return {"trading_day": row["trading_day"], "account": row.get("account"), "symbol": row.get("symbol"), **row}


def daily(
    day: OfDay = None,
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
    Show each account's trading days, and how much of the daily-loss limit they used.

    The limit is the one that stood at the end of what was booked on the day; what counts against it is realized P&L,
    or with daily_loss.basis total also the change of unrealized.

    For example:

        oms daily --day 2024-03-15 --account alpha
    """
    moment, chosen, wanted = when(as_of, known_at, at_seq), cost_method(method), checked_day(day)
    check_names(None, account)
    with open_log(log, config) as opened:
        basis = opened.queries.basis(moment, chosen)
        rows = summed(narrowed(_days(opened, basis, wanted), None, account), "account")
        policies = dict(_policies(opened, basis, rows))
        rows = [_limited(row, policies[row["trading_day"], row["account"]]) for row in rows]
        answer(opened, basis, "days", rows, DAILY, as_json=as_json, method=True, things="rows")
        if not rows:
            check_filter(opened, account=account, day=wanted, allow_empty=allow_empty)


def _policies(opened: OpenLog, basis: Basis, rows: list[Row]) -> Iterator[tuple[tuple[str, str], Policy]]:
    """Return the rules that stood at the end of each trading day of the rows, for their accounts."""
    scopes = {EVERY_ACCOUNT, *(row["account"] for row in rows)}
    told = [each for scope in scopes for each in opened.log.stream(f"policy/{scope}")]
    changes = deque(sorted(told, key=lambda each: each.seq))
    ends = opened.log.ends_of_days(basis.seq, Positions.topics() | Policies.topics())
    policies = Policies()
    for day, seq in sorted(ends.items(), key=lambda each: each[1]):
        while changes and changes[0].seq <= seq:
            policies.apply(changes.popleft())
        policies.commit()
        accounts = [row["account"] for row in rows if row["trading_day"] == day]
        yield from (((day, account), policies.policy(account)) for account in accounts)


def _limited(row: Row, policy: Policy) -> Row:
    counted = row["total_pnl"] if policy.basis == "total" else row["realized_pnl"]
    loss, limit = max(ZERO, canonical(negate(counted))), policy.max_daily_loss
    return {
        "trading_day": row["trading_day"],
        "account": row["account"],
        "currency": row["currency"],
        "realized_pnl": row["realized_pnl"],
        "gross_realized_pnl": row["gross_realized_pnl"],
        "fees": row["fees"],
        "unrealized_change": row["unrealized_change"],
        "total_pnl": row["total_pnl"],
        "fills": row["fills"],
        "basis": policy.basis,
        "loss": loss,
        "max_daily_loss": limit,
        "left": None if limit is None else canonical(minus(limit, loss)),
        "used": divide(loss, limit) if limit else None,
    }
