"""
Exact decimals: read, add, multiply, write. Only `divide` rounds.

The thread's decimal context is never used, because a bot that embeds this package may have changed it.
"""

import re
from decimal import (
    ROUND_05UP,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from functools import lru_cache
from typing import Final

from oms_es.errors import InvalidInput

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
MAX_DECIMALS: Final = 18

# Products of two inputs have at most 72 digits; the rest is room for sums.
_EXACT: Final = Context(prec=400, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])
_DIVIDE: Final = Context(prec=100, rounding=ROUND_05UP, traps=[InvalidOperation, Overflow, DivisionByZero])
_ROUND: Final = Context(prec=800, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow, DivisionByZero])
_SHORT: Final = Context(prec=10, rounding=ROUND_HALF_EVEN)
_MOST_DIVIDE: Final = 100 - MAX_DECIMALS - 4  # a quotient below 10 to this has digits to spare beyond the 18 places
_PLACES: Final = Decimal(1).scaleb(-MAX_DECIMALS)
_TEXT: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_MAX_TEXT: Final = 64

plus = _EXACT.add
minus = _EXACT.subtract
times = _EXACT.multiply
negate = _EXACT.minus
quotient = _EXACT.divide  # only where the result is known to be exact; an inexact one raises
absolute = _EXACT.abs


def divide(numerator: Decimal, denominator: Decimal) -> Decimal:
    """
    Return the quotient, rounded half-even at 18 places; nothing else in the product rounds.

    The first division keeps 100 digits and never ends in 0 or 5 unless it is exact there (ROUND_05UP), so rounding its
    result gives the same digits as rounding the exact quotient.
    """
    found = _DIVIDE.divide(numerator, denominator)
    if found.adjusted() >= _MOST_DIVIDE:
        found = _ROUND.divide(numerator, denominator)
    return canonical(found.quantize(_PLACES, context=_ROUND))


def nearest(value: Decimal, step: Decimal) -> Decimal:
    """Return the multiple of `step` (above 0) that is nearest; the even one of two."""
    return canonical(times(_ROUND.divide(value, step).to_integral_value(ROUND_HALF_EVEN), step))


def multiples_around(value: Decimal, step: Decimal) -> tuple[Decimal, Decimal]:
    """Return the nearest multiples of `step` (above 0) at or below, and at or above a value; equal on a multiple."""
    low = canonical(times(_ROUND.divide(value, step).to_integral_value(ROUND_FLOOR), step))
    return (low, low) if low == value else (low, canonical(plus(low, step)))


def canonical(value: Decimal) -> Decimal:
    """Return the same number without trailing zeros, negative zero or a positive exponent."""
    if not value:
        return ZERO
    written = str(value)  # much cheaper than the digits as a tuple
    if "E" in written:
        return _plain(value)
    if written[-1] != "0" or "." not in written:
        return value
    return Decimal(written.rstrip("0").rstrip("."))


def _plain(value: Decimal) -> Decimal:
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "the value is finite"
    if exponent < 0 and digits[-1] == 0:
        value = value.normalize(_EXACT)
        exponent = int(value.as_tuple().exponent)
    return value.quantize(ONE, context=_EXACT) if exponent > 0 else value


def added(value: Decimal, by: Decimal) -> Decimal:
    """Return the exact sum of a canonical value and a change, canonical; most changes are 0."""
    return canonical(plus(value, by)) if by else value


def text(value: Decimal) -> str:
    """Return the canonical text: plain, no exponent, no trailing zeros, no `-0`."""
    if not value:
        return "0"
    written = str(value)
    if "E" in written:
        return format(_plain(value), "f")
    return written if written[-1] != "0" or "." not in written else written.rstrip("0").rstrip(".")


def short(value: Decimal) -> Decimal:
    """Return a derived number at ten digits, to be read; a longer whole number has all of its digits."""
    return value if value.adjusted() >= _SHORT.prec - 1 else _SHORT.plus(value)


def decimal(value: object, name: str = "value") -> Decimal:
    """
    Return an input as an exact Decimal: a Decimal, an int, or plain ASCII decimal text.

    Args:
        value: |value| < 10**18 with at most 18 decimals; `-0` is 0.
        name: the name of the value in an error message.

    Raises:
        InvalidInput: a float, a bool, NaN, an exponent, other digits, or out of range; never rounded.
    """
    if isinstance(value, Decimal):
        return _in_range(_finite(value, name), name)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**18:
            raise InvalidInput(f"{name}: {_shown(value)} is out of range: |x| must be below 10^18")
        return Decimal(value)
    if not isinstance(value, str):
        kind = type(value).__name__
        raise InvalidInput(
            f"{name}: {_shown(value)} ({kind}) is not exact; use a Decimal, an int or text like '100.25'"
        )
    found = _read(value) if len(value) <= _MAX_TEXT else None
    if found is None:
        raise InvalidInput(f"{name}: {_shown(value)} is not plain decimal text like '100.25' or '-3'")
    return found if isinstance(found, Decimal) else _in_range(Decimal(value), name)


@lru_cache(maxsize=16_384)
def _read(written: str) -> Decimal | str | None:
    """Return the number, the text itself where it is out of range, None where it is no number."""
    if _TEXT.fullmatch(written) is None:
        return None
    try:
        return _in_range(Decimal(written), "")
    except InvalidInput:
        return written


def _finite(value: Decimal, name: str) -> Decimal:
    if not value.is_finite():
        raise InvalidInput(f"{name}: {value} is not a number that can be booked")
    return value


def _in_range(value: Decimal, name: str) -> Decimal:
    if value and not -18 <= value.adjusted() < 18:
        raise InvalidInput(
            f"{name}: {_shown(value)} is out of range: |x| must be below 10^18, with at most 18 decimals"
        )
    try:
        value = canonical(value)
    except ArithmeticError:  # hundreds of decimals
        raise InvalidInput(f"{name}: {_shown(value)} has more than {MAX_DECIMALS} decimals") from None
    if int(value.as_tuple().exponent) < -MAX_DECIMALS:
        raise InvalidInput(f"{name}: {_shown(value)} has more than {MAX_DECIMALS} decimals and is never rounded")
    return value


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 4 * _MAX_TEXT:
        return f"a number of {value.bit_length()} bits"
    shown = ascii(value) if isinstance(value, str) else ascii(str(value))[1:-1]
    return shown if len(shown) <= _MAX_TEXT else f"{shown[:_MAX_TEXT]}…"
