"""The portfolio in one dictionary."""

from decimal import Decimal
from typing import Any

from oms_es.decimals import ZERO, canonical, plus, times
from oms_es.projections.position_state import PositionState
from oms_es.projections.state import State


def portfolio_summary(state: State, trading_day: str, account: str | None = None) -> dict[str, Any]:
    """
    Return totals of positions, open orders and P&L, of one account or of all.

    Keys: `total_positions` (not flat), `open_orders`, `total_notional` (at the last mark, at cost without one),
    `total_realized_pnl` (net of fees), `total_unrealized_pnl` (None when a mark is missing), `total_fees`,
    `daily_pnl` of `trading_day`, `other_fees` (in other currencies, by currency), `quarantined` (fills that wait),
    `currencies` (the same sums by currency) and
    `positions` (a row each). Money of several currencies does not add up: then every total is None, and `currencies`
    has them apart.
    """
    held = [each for key, each in state.positions.sorted() if account in (None, key[0])]
    by_currency = {
        currency: _sums(state, [each for each in held if each.currency == currency], trading_day)
        for currency in sorted({each.currency for each in held})
    }
    totals = next(iter(by_currency.values())) if len(by_currency) == 1 else dict.fromkeys(_SUMS, ZERO)
    if len(by_currency) > 1:
        totals = dict.fromkeys(_SUMS)
    opened = state.orders.open_count
    return {
        "total_positions": sum(bool(each.quantity) for each in held),
        "open_orders": sum(count for name, count in opened.items() if account in (None, name)),
        **totals,
        "other_fees": _other_fees(held),
        "quarantined": sum(account in (None, each.fill.account) for each in state.orders.all_waiting()),
        "trading_day": trading_day,
        "accounts": sorted({each.account for each in held}),
        "currencies": by_currency,
        "positions": [state.positions.row(each) for each in held],
    }


_SUMS = ("total_notional", "total_realized_pnl", "total_unrealized_pnl", "total_fees", "daily_pnl")


def _sums(state: State, held: list[PositionState], trading_day: str) -> dict[str, Decimal | None]:
    notional = realized = fees = ZERO
    unrealized: Decimal | None = ZERO
    for each in held:
        mark = state.positions.marks.get(each.symbol)
        value = each.cost_basis if mark is None else times(each.units, mark.price)
        notional = plus(notional, value.copy_abs())
        realized, fees = plus(realized, each.realized), plus(fees, each.fees)
        level = state.positions.unrealized(each.book)
        unrealized = None if level is None or unrealized is None else plus(unrealized, level)
    daily, currency = ZERO, held[0].currency
    for account in {each.account for each in held}:
        basis = state.policies.policy(account).basis
        daily = plus(daily, state.positions.daily_pnl(account, trading_day, currency, basis))
    figures = (canonical(notional), canonical(realized), unrealized, canonical(fees), canonical(daily))
    return dict(zip(_SUMS, figures, strict=True))


def _other_fees(held: list[PositionState]) -> dict[str, Decimal]:
    """Return the fees in currencies other than the instrument's, by currency."""
    sums: dict[str, Decimal] = {}
    for each in held:
        for currency, fee in each.other_fees:
            sums[currency] = canonical(plus(sums.get(currency, ZERO), fee))
    return sums
