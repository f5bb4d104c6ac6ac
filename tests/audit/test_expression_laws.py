"""Laws of the expression language: the value of a generated expression, and errors with a caret for everything else."""

import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.audit.expression import MAX_DEPTH, MAX_LENGTH, EvaluationPoint, Expression
from oms_es.errors import ExpressionError
from oms_es.projections.state import State

EMPTY = EvaluationPoint(State(), "2024-03-04")
NUMBERS = st.decimals(0, 999, places=2).map(lambda value: (f"{value:f}", value))
SIGNS = {
    "+": lambda one, other: one + other, "-": lambda one, other: one - other, "*": lambda one, other: one * other,
    "<": lambda one, other: one < other, "<=": lambda one, other: one <= other, "==": lambda one, other: one == other,
    ">": lambda one, other: one > other, ">=": lambda one, other: one >= other, "!=": lambda one, other: one != other,
}  # fmt: skip
Part = tuple[str, Decimal]
Claim = tuple[str, bool]


def combined(parts: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    """Return sums and products in parentheses, negative numbers, and calls of functions."""

    def joined(one: Part, sign: str, other: Part) -> Part:
        return f"({one[0]} {sign} {other[0]})", SIGNS[sign](one[1], other[1])

    def largest(one: Part, other: Part) -> Part:
        return f"max({one[0]}, {other[0]})", max(one[1], other[1])

    return (
        st.builds(joined, parts, st.sampled_from("+-*"), parts)
        | st.builds(largest, parts, parts)
        | parts.map(lambda part: (f"-{part[0]}", -part[1]))
        | parts.map(lambda part: (f"abs({part[0]})", abs(part[1])))
    )


def claims(one: Part, sign: str, other: Part) -> Claim:
    return f"{one[0]} {sign} {other[0]}", bool(SIGNS[sign](one[1], other[1]))


VALUES = st.recursive(NUMBERS, combined, max_leaves=6)
COMPARISONS = st.builds(claims, VALUES, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), VALUES)


@given(COMPARISONS)
def test_a_comparison_has_the_value_that_exact_arithmetic_gives(claim: Claim) -> None:
    source, value = claim

    assert Expression(source).holds(EMPTY) is value


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["and", "or"]), COMPARISONS), min_size=1, max_size=4))
def test_not_binds_closer_than_and_and_and_closer_than_or(parts: list[tuple[bool, str, Claim]]) -> None:
    words, groups = [], [[True]]
    for number, (denied, word, (source, value)) in enumerate(parts):
        words += [word] * (number > 0) + ["not"] * denied + [source]
        if number and word == "or":
            groups.append([True])
        groups[-1].append(value is not denied)

    assert Expression(" ".join(words)).holds(EMPTY) is any(all(group) for group in groups)


@given(st.lists(NUMBERS, min_size=2, max_size=6), st.lists(st.sampled_from("+-*"), min_size=5, max_size=5))
def test_products_come_before_sums_and_both_go_from_left_to_right(numbers: list[Part], signs: list[str]) -> None:
    source, terms = numbers[0][0], [numbers[0][1]]
    for sign, (written, number) in zip(signs, numbers[1:], strict=False):
        source += f"{sign}{written}"
        if sign == "*":
            terms[-1] *= number
        else:
            terms.append(number if sign == "+" else -number)

    assert Expression(f"{source} == {sum(terms, Decimal(0))}".replace("== -", "== 0 - ")).holds(EMPTY)


PYTHON = (
    "[1 for x in 'ab'] == 1", "{1: 2} == 1", "f'{1}' == 1", "b'a' == 'a'", "'''a''' == 'a'", "'a' 'b' == 'ab'",
    "(1, 2) == 1", "(x := 1) == 1", "1 if true else 2", "position.__class__ == 1", "position(*'a') == 1",
    "position(symbol='a') == 1",
    "().__class__ == 1", "1 < 2 # note", "1 is 1", "1 in 2", "2 ** 9 > 1", "7 // 2 > 1", "7 % 2 > 1", "~1 < 1",
    "0x10 == 16", "1_000 > 1", "1j == 1", ".5 > 0", "5. > 0", "1e9 > 1", "True", "None == 1", "min(1,) > 0", "+1 > 0",
    "lambda: 1", "await x", "yield", "1; 2", "x = 1", "import os", "\uff11 == 1", "\u0661 == 1", "m\u0430rk('A') > 1",
)  # fmt: skip


@pytest.mark.parametrize("source", PYTHON)
def test_an_expression_of_python_that_is_none_of_the_language_is_refused_with_a_caret(source: str) -> None:
    with pytest.raises(ExpressionError, match=r"\n +\^$"):
        Expression(source)


HOSTILE = [
    opening * 10_000 + middle + closing * 10_000
    for opening, middle, closing in (
        ("(", "1", ")"), ("abs(", "1", ")"), ("-", "1", ""), ("not ", "true", ""), ("1+", "1", ""), ("1<", "1", ""),
        ("9", "> 1", ""), ("", "1e999999999 > 1", ""),
        ("999999999999999999*", "1 > 0", ""), ('"', "", ""), ("true and ", "true", ""),
    )
]  # fmt: skip


@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: source[:8])
def test_hostile_text_needs_little_memory_and_no_deep_recursion(source: str) -> None:
    shown = []
    tracemalloc.start()
    for length in (len(source), MAX_LENGTH - 1, MAX_DEPTH * 4, 40):
        try:
            Expression(source[:length]).holds(EMPTY)
        except ExpressionError as refusal:
            shown.append("^" in str(refusal) or length > MAX_LENGTH)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert all(shown)
    assert most < 2_000_000


@pytest.mark.parametrize("word", ["+", "*", "and", "or"])
def test_a_chain_as_long_as_an_expression_may_be_is_evaluated(word: str) -> None:
    operand = "true" if word in ("and", "or") else "1"
    chain = f" {word} ".join([operand] * ((MAX_LENGTH - 10) // (len(operand) + len(word) + 2)))

    assert Expression(chain if operand == "true" else f"{chain} > 0").holds(EMPTY)


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("-", ""), ("abs(", ")")])
def test_nesting_is_accepted_up_to_a_depth(opening: str, closing: str) -> None:
    def nested(depth: int) -> str:
        return f"{opening * depth}1{closing * depth} != 2"

    assert Expression(nested(MAX_DEPTH)).holds(EMPTY)
    with pytest.raises(ExpressionError, match="nested too deeply"):
        Expression(nested(MAX_DEPTH + 1))
