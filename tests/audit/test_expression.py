"""The language of claims: what it says of a golden day, and what it cannot be made to do."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.audit.bisect import Turn, bisect
from oms_es.audit.expression import EvaluationPoint, Expression
from oms_es.errors import ExpressionError
from oms_es.log.memory import MemoryLog
from oms_es.projections.state import State
from tests.golden_days import play

TABLE = (Path(__file__).parents[1] / "tables" / "claims.txt").read_text(encoding="utf-8")
ROWS = [line for line in TABLE.splitlines() if not line.startswith("#")]
COLUMN = ROWS[0].index("gives")


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    made = MemoryLog()
    asyncio.run(play("ordinary_day", made))
    return made


@pytest.fixture(scope="module")
def end(log: MemoryLog) -> EvaluationPoint:
    return EvaluationPoint(State().replay(log.read()), "2024-03-04")


@pytest.mark.parametrize("row", ROWS[1:])
def test_a_claim_gives_what_the_table_says(row: str, end: EvaluationPoint) -> None:
    claim, gives = row[:COLUMN].strip(), row[COLUMN:].strip()

    if gives in ("true", "false"):
        assert Expression(claim).holds(end) is (gives == "true")
        return
    with pytest.raises(ExpressionError) as refusal:
        Expression(claim).holds(end)
    assert gives in str(refusal.value)
    assert "^" in str(refusal.value)


@given(st.text(max_size=60) | st.text(alphabet='()<>=!+-*,."01aposition ndrt', max_size=80))
def test_nonsense_gets_a_claim_error_and_nothing_else(source: str) -> None:
    told: object = None
    try:
        told = Expression(source).holds(EvaluationPoint(State(), "2024-03-04"))
    except ExpressionError as refusal:
        told = str(refusal)

    assert told is not None


@pytest.mark.parametrize("source", ["(" * 5000 + "1", "not " * 5000 + "true", "-" * 5000 + "1 > 0", "1" * 2000])
def test_what_is_too_deep_or_too_long_is_refused(source: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(source[:999])
    with pytest.raises(ExpressionError):
        Expression(source)


def test_numbers_that_grow_beyond_what_is_exact_are_refused(end: EvaluationPoint) -> None:
    with pytest.raises(ExpressionError, match="more digits than exact arithmetic allows"):
        Expression("*".join(["999999999999999999"] * 40) + " > 0").holds(end)


@pytest.mark.parametrize(
    ("claim", "seq"),
    [
        ('position("ALFA") <= 40', 8), ('position("ALFA") >= 0', 29), ('abs(position("BETA")) < 20', 24),
        ('not state("o-2") == "cancelled"', 13), ("open_orders() == 0", 5), ('position("ALFA") <= 1000', None),
    ],
)  # fmt: skip
def test_bisect_finds_the_event_after_which_a_claim_is_false(log: MemoryLog, claim: str, seq: int | None) -> None:
    turn = bisect(Expression(claim), State, partial(log.read, 0, None), log.stream)

    assert (None if turn is None else turn.at.seq) == seq
    if turn is not None:
        worlds = [State().replay(log.read(until=until)) for until in (turn.at.seq - 1, turn.at.seq)]
        assert [Expression(claim).holds(EvaluationPoint(state, "2024-03-04")) for state in worlds] == [True, False]
        assert turn.history[-1] == turn.at


def test_bisect_tells_a_claim_that_was_false_from_the_start(log: MemoryLog) -> None:
    turn = bisect(Expression('position("ALFA") > 1000'), State, partial(log.read, 0, None), log.stream)

    assert turn is not None
    assert turn.from_the_start
    assert turn.at.seq == 1


def test_bisect_looks_only_between_two_places(log: MemoryLog) -> None:
    def looked_at(claim: str) -> Turn | None:
        return bisect(Expression(claim), State, partial(log.read, 0, None), log.stream, first=23, last=30)

    turn = looked_at('position("BETA") > -10')

    assert turn is not None
    assert turn.at.seq >= 23
    assert looked_at('position("BETA") > -100') is None


@pytest.mark.parametrize(
    ("claim", "parts"),
    [
        ('abs(position("A")) <= mark("A")', {"positions"}),
        ("open_orders() < 3", {"orders"}),
        ('daily_pnl() > 0 or state("o") == "filled"', {"positions", "orders"}),
        ("1 < 2", set()),
    ],
)
def test_a_claim_says_what_it_speaks_of(claim: str, parts: set[str]) -> None:
    assert Expression(claim).parts == parts
