"""The limits: one table of cases, and what no sequence of orders can get around (design, section 7)."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.decimals import ZERO, text
from oms_es.domain import risk_checks
from oms_es.domain.commands import AddFill
from oms_es.domain.policy import Policy, Value, typed
from oms_es.domain.risk_checks import Exposure, Proposal
from oms_es.errors import OmsError
from oms_es.vocabulary import OrderSide, OrderType, TradingLevel
from tests.builders import BUY, SELL, SYMBOL, TODAY, Desk, amend, limit_values, num, submit, table
from tests.desk import codes
from tests.scenarios import Play

CODES = {each.code for each in risk_checks.CHECKS}


def pairs(words: str) -> dict[str, str]:
    return dict(word.split("=") for word in words.split())


def policy(words: str) -> Policy:
    named: dict[str, Value] = dict(pairs(words))
    if "restricted" in named:
        named["restricted"] = tuple(str(named["restricted"]).split(","))
    return typed({"day.max_clock_step": "1000000"} | limit_values(named))


def proposal(words: str) -> Proposal:
    side, what, *flags = words.split()
    quantity, _, price = what.partition("@")
    return Proposal(
        symbol=SYMBOL, side=OrderSide(side), order_type=OrderType.MARKET if price == "market" else OrderType.LIMIT,
        quantity=num(quantity), total=num(quantity), price=None if price == "market" else num(price),
        reduce_only="reduce" in flags,
    )  # fmt: skip


def exposure(held: str, opened: str, around: str) -> Exposure:
    named = pairs(around)
    sides = {word[0]: num(word[1:]) for word in opened.split()}
    return Exposure(
        position=num(held), open_buys=sides.get("+", ZERO), open_sells=sides.get("-", ZERO),
        open_orders=int(named.get("orders", "0")), daily_pnl=num(named.get("pnl", "0")),
        level=TradingLevel(named.get("level", "normal")), mark=num(named["mark"]) if "mark" in named else None,
        multiplier=num(named.get("multiplier", "1")), recent_orders=int(named.get("recent", "0")),
        clock_behind=int(named.get("clock", "0")),
    )  # fmt: skip


# --- the table ---


@pytest.mark.parametrize("row", table("risk"))
def test_an_order_breaks_the_limits_worked_out_by_hand_and_no_other(row: dict[str, str]) -> None:
    found = risk_checks.violations(
        proposal(row["order"]), exposure(row["held"], row["open"], row["around"]), policy(row["limits"])
    )

    assert codes(found) == row["codes"].split()
    for violation in found:
        code, _, words = violation.partition(": ")  # then what was measured, and the limit
        assert code in CODES
        assert words
        assert "E+" not in violation
        assert "E-" not in violation


def test_the_table_has_every_code_and_cases_on_both_sides_of_it() -> None:
    rows = [row.values[0] for row in table("risk")]
    used = {code for row in rows for code in row["codes"].split()}

    assert used == CODES
    assert len(rows) >= 60
    assert len([row for row in rows if not row["codes"]]) >= 30


@pytest.mark.parametrize(("order", "held", "limit", "words"), [
    ("buy 101@10", "0", "max_position_size=100", ["101", "100"]),
    ("sell 101@10", "0", "max_position_size=100", ["101", "100"]),
    ("buy 9@10", "0", "min_quote_size=10", ["9", "10"]),
    ("buy 100@11", "0", "max_order_notional=1000.5", ["1100", "1000.5"]),
    ("buy 1@10", "5001.5", "max_skew=5000", ["5001.5", "5000"]),
])  # fmt: skip
def test_the_figures_of_a_violation_are_those_that_were_compared(
    order: str, held: str, limit: str, words: list[str]
) -> None:
    (violation,) = risk_checks.violations(proposal(order), exposure(held, "", ""), policy(limit))

    assert all(word in violation.split() for word in words)


# --- what reduces ---

amounts = st.integers(0, 40).map(lambda units: Decimal(units * 25))
held_amounts = st.integers(-40, 40).map(lambda units: Decimal(units * 25))
some_limits = st.fixed_dictionaries(
    {
        "risk.max_position_size": st.none() | amounts.map(text),
        "risk.max_daily_loss": st.none() | amounts.map(text),
        "trading.max_skew": st.none() | amounts.map(text),
    }
)


@given(held_amounts.filter(bool), amounts, amounts, amounts, held_amounts, some_limits)
def test_a_limit_never_traps_anyone_in_a_position(
    held: Decimal, buys: Decimal, sells: Decimal, wanted: Decimal, pnl: Decimal, values: dict[str, Value]
) -> None:
    side = SELL if held > 0 else BUY
    left = abs(held) - (sells if held > 0 else buys)
    quantity = min(wanted, left)
    if quantity <= 0:
        return
    order = proposal(f"{side.value} {text(quantity)}@market")
    around = Exposure(position=held, open_buys=buys, open_sells=sells, daily_pnl=pnl, level=TradingLevel.REDUCE_ONLY)

    assert risk_checks.violations(order, around, typed(values)) == ()


@given(held_amounts, amounts, amounts, amounts.filter(bool), st.sampled_from(OrderSide))
def test_a_reducing_order_is_opposite_to_the_position_and_not_larger_than_the_rest_of_it(
    held: Decimal, buys: Decimal, sells: Decimal, quantity: Decimal, side: OrderSide
) -> None:
    order = proposal(f"{side.value} {text(quantity)}@market reduce")
    covers, sells_off = held + buys + quantity <= 0, held - sells - quantity >= 0
    reduces = (held < 0 and covers) if side is BUY else (held > 0 and sells_off)

    found = risk_checks.violations(
        order, Exposure(position=held, open_buys=buys, open_sells=sells), Policy(max_clock_step=1)
    )

    assert codes(found) == ([] if reduces else ["REDUCE_ONLY"])


# --- what is counted, from the log ---


def after(*commands: str) -> Play:
    """Return a desk after commands in words; `-` is none."""
    played = Play()
    for words in filter(None, ", ".join(commands).split(", ")):
        played.perform(words)
    return played


def exposed(desk: Desk) -> Exposure:
    return desk.state.exposure("default", SYMBOL, TODAY, desk.now)


@pytest.mark.parametrize("row", table("exposure"))
def test_exposure_is_the_position_and_the_open_orders_of_the_log(row: dict[str, str]) -> None:
    found = exposed(after(row["history"]).desk)

    figures = [text(found.position), text(found.open_buys), text(found.open_sells), str(found.open_orders)]
    assert figures == [row[name] for name in ("held", "buys", "sells", "orders")]


@pytest.mark.parametrize("row", table("risk_amends"))
def test_an_amendment_is_judged_by_what_it_adds(row: dict[str, str]) -> None:
    played = after(f"limits {row['limits']}", row["history"])
    before = played.desk.order()
    was = (before.quantity, before.price, before.state)

    found = played.outcome(row["command"])

    assert found.removeprefix("refused ") == row["outcome"]
    if found.startswith("refused"):
        order = played.desk.order()
        assert (order.quantity, order.price, order.state) == was


# --- what nobody can get around ---

LIMIT = num("300")
orders_at_random = st.tuples(
    st.just("order"), st.sampled_from(OrderSide), st.integers(1, 4).map(lambda n: Decimal(n * 50))
)
fills_at_random = st.tuples(st.just("fill"), st.integers(0, 20), st.integers(1, 4).map(lambda n: Decimal(n * 50)))
amends_at_random = st.tuples(st.just("amend"), st.integers(0, 20), st.integers(1, 6).map(lambda n: Decimal(n * 50)))


@given(st.lists(st.one_of(orders_at_random, fills_at_random, amends_at_random), max_size=40))
def test_no_sequence_of_orders_amendments_and_fills_ends_beyond_the_position_limit(steps: list[Any]) -> None:
    desk = Desk(max_position_size=text(LIMIT))
    placed = 0
    for number, (kind, which, quantity) in enumerate(steps):
        try:
            if kind == "order":
                placed += 1
                desk.perform(submit(text(quantity), side=which, order_id=f"o-{placed}"))
            elif kind == "amend":
                desk.perform(amend(text(quantity), order_id=f"o-{which}"))
            else:
                desk.perform(
                    AddFill(order_id=f"o-{which}", fill_quantity=quantity, fill_price=num("10"), trade_id=f"t{number}")
                )
        except OmsError:
            continue

        found = exposed(desk)
        working = desk.state.orders.open_sides.get(("default", SYMBOL))
        assert abs(found.position) <= LIMIT
        if working is not None:
            assert abs(found.position + working.buys) <= LIMIT or found.position < 0
            assert abs(found.position - working.sells) <= LIMIT or found.position > 0
