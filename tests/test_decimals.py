"""Numbers from outside are read exactly or refused, and written in one way only (design, section 3)."""

from collections.abc import Callable, Iterator
from decimal import ROUND_UP, Decimal, Inexact, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.decimals import canonical, decimal, divide, minus, plus, quotient, text, times
from oms_es.errors import InvalidInput, OmsError
from tests.builders import num, table

MOST = 10**36 - 1  # in units of the 18th decimal
numbers = st.integers(-MOST, MOST).map(lambda units: Decimal(f"{units}E-18"))

REFUSED: list[tuple[str, Any]] = [
    ("a float", 1.5), ("a float that is whole", 1.0), ("a bool", True), ("nothing", None), ("bytes", b"1"),
    ("a list", ["1"]), ("a complex number", 1j), ("a fraction", Fraction(1, 2)), ("NaN", Decimal("NaN")),
    ("a signalling NaN", Decimal("sNaN")), ("Infinity", Decimal("Infinity")), ("-Infinity", Decimal("-Infinity")),
    ("NaN as text", "NaN"), ("Infinity as text", "Infinity"), ("inf as text", "-inf"), ("an exponent", "1e3"),
    ("a capital exponent", "1E3"), ("a negative exponent", "1e-3"), ("an exponent of 0", "1e0"),
    ("full-width digits", "１２"), ("arabic digits", "٣"), ("a superscript", "2²"), ("an underscore", "1_000"),
    ("a thousands comma", "1,000"), ("a decimal comma", "1,5"), ("a leading space", " 1"), ("a trailing space", "1 "),
    ("a trailing line feed", "1\n"), ("a no-break space", "1\u00a0"), ("a space inside", "1 000"),
    ("a hexadecimal number", "0x10"), ("two signs", "--1"), ("two points", "1.2.3"), ("a lone point", "."),
    ("a lone sign", "-"), ("no text", ""), ("words", "ten"), ("a unicode minus", "−1"),
    ("10^18 as text", "1000000000000000000"), ("10^18 as an int", 10**18), ("-10^18 as an int", -(10**18)),
    ("10^18 as a Decimal", Decimal(10) ** 18), ("10^18 with an exponent", Decimal("1E+18")),
    ("a huge exponent", Decimal("1E+999999")), ("19 decimals", "0.0000000000000000001"),
    ("19 decimals of a Decimal", Decimal("1E-19")),
    ("19 decimals beside a whole part", Decimal("1.0000000000000000001")), ("a tiny exponent", Decimal("1E-999999")),
    ("500 decimals", Decimal("0." + "0" * 499 + "1")),
    ("501 decimals, the last one 0", Decimal("1." + "0" * 499 + "10")), ("an int of 5,000 digits", 10**5000),
    ("text of 5,000 digits", "9" * 5000),
]  # fmt: skip


@pytest.mark.parametrize("value", [pytest.param(value, id=what) for what, value in REFUSED])
def test_decimal_refuses_a_value_that_is_no_exact_number_and_names_the_argument(value: Any) -> None:
    with pytest.raises(InvalidInput, match="quantity") as refusal:
        decimal(value, "quantity")

    assert isinstance(refusal.value, ValueError)
    assert isinstance(refusal.value, OmsError)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("row", table("decimals"))
def test_plain_text_is_taken_and_written_canonically(row: dict[str, str]) -> None:
    assert text(decimal(row["given"])) == row["canonical"]


@pytest.mark.parametrize(("value", "canonically"), [
    (7, "7"), (-(10**18) + 1, "-999999999999999999"), (0, "0"), (Decimal("1.50"), "1.5"), (Decimal("-0"), "0"),
    (Decimal("0E+1000000"), "0"), (Decimal("1E+1"), "10"), (Decimal("1E+17"), "100000000000000000"),
    (Decimal("1E-18"), "0.000000000000000001"), (Decimal("1." + "0" * 300), "1"),
])  # fmt: skip
def test_ints_and_decimals_are_taken_as_they_are(value: int | Decimal, canonically: str) -> None:
    assert text(decimal(value)) == canonically
    assert decimal(value).as_tuple() == Decimal(canonically).as_tuple()


@given(numbers)
def test_a_number_that_was_written_is_read_back_as_the_same_number(number: Decimal) -> None:
    again = decimal(text(number))

    assert again == number
    assert text(again) == text(number)


@given(numbers)
def test_canonical_text_is_plain_and_has_nothing_to_leave_off(number: Decimal) -> None:
    written = text(number)
    whole, point, decimals = written.removeprefix("-").partition(".")

    assert set(written) <= set("-.0123456789")
    assert whole == "0" or not whole.startswith("0")
    assert not point or (decimals and not decimals.endswith("0"))
    assert written != "-0"


@given(numbers, st.integers(0, 5))
def test_equal_numbers_have_one_text_however_they_were_written(number: Decimal, zeros: int) -> None:
    sign, digits, exponent = number.as_tuple()
    padded = Decimal((sign, digits + (0,) * zeros, int(exponent) - zeros))

    assert text(padded) == text(number)
    assert canonical(padded).as_tuple() == canonical(number).as_tuple()
    assert decimal(padded).as_tuple() == decimal(number).as_tuple()


@given(numbers, numbers)
def test_sums_differences_and_products_are_exact(a: Decimal, b: Decimal) -> None:
    assert Fraction(plus(a, b)) == Fraction(a) + Fraction(b)
    assert Fraction(minus(a, b)) == Fraction(a) - Fraction(b)
    assert Fraction(times(a, b)) == Fraction(a) * Fraction(b)


@given(st.lists(st.tuples(numbers, numbers), max_size=30))
def test_long_sums_of_products_are_exact(pairs: list[tuple[Decimal, Decimal]]) -> None:
    total = Decimal(0)
    for quantity, price in pairs:
        total = plus(total, times(quantity, price))

    assert Fraction(total) == sum((Fraction(q) * Fraction(p) for q, p in pairs), Fraction(0))


def test_a_quotient_that_does_not_come_out_even_is_no_quotient() -> None:
    with pytest.raises(Inexact):
        quotient(Decimal(1), Decimal(3))


@pytest.mark.parametrize("row", table("divide"))
def test_a_division_is_rounded_half_even_at_18_places(row: dict[str, str]) -> None:
    assert text(divide(num(row["numerator"]), num(row["denominator"]))) == row["quotient"]


@given(numbers, numbers.filter(bool))
def test_a_division_is_off_by_half_a_unit_of_the_18th_place_at_most(a: Decimal, b: Decimal) -> None:
    exact = Fraction(a) / Fraction(b)
    units = round(exact * 10**18)  # a Fraction rounds half to even

    assert Fraction(divide(a, b)) == Fraction(units, 10**18)


def everything(a: Decimal, b: Decimal) -> Iterator[str]:
    """Yield what every function makes of two numbers."""
    functions: tuple[Callable[[Decimal, Decimal], Decimal], ...] = (plus, minus, times)
    yield from (text(function(a, b)) for function in functions)
    yield text(divide(a, b)) if b else ""
    yield text(decimal(a))
    yield text(decimal(text(b)))


@given(numbers, numbers)
def test_the_decimal_context_of_the_program_around_us_changes_nothing(a: Decimal, b: Decimal) -> None:
    expected = list(everything(a, b))

    with localcontext(prec=3, rounding=ROUND_UP, Emax=9, Emin=-9) as around:
        around.traps[Inexact] = True
        found = list(everything(a, b))

    assert found == expected


def test_our_arithmetic_leaves_no_flags_in_the_context_of_the_program_around_us() -> None:
    with localcontext() as around:
        around.clear_flags()
        list(everything(Decimal("1.5"), Decimal(3)))

        assert not any(around.flags.values())
