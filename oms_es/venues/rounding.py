"""Round an order to the steps of its instrument."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from oms_es.decimals import canonical, decimal, divide, times
from oms_es.venues.contract import Instrument


def rounded(instrument: Instrument | None, quantity: Any, price: Any) -> tuple[Any, Any]:
    """Return quantity and price at the nearest step (a half goes up); unchanged where no step is stated."""
    if instrument is None:
        return quantity, price
    return nearest(quantity, instrument.quantity_step, "quantity"), nearest(price, instrument.price_step, "price")


def nearest(value: Any, step: Decimal | None, name: str, halves: str = ROUND_HALF_UP) -> Any:
    """Return the multiple of `step` that is nearest to `value`; `halves` is the rounding mode of a half."""
    if value is None or not step:
        return value
    return canonical(times(divide(decimal(value, name), step).to_integral_value(halves), step))
