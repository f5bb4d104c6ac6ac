"""The limits: one table of cases, and what no sequence of orders can get around (design, section 7)."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.decimals import ONE, ZERO, text
from oms_es.domain import risk_checks
from oms_es.domain.commands import AddFill, DefineInstrument, SetLimits
from oms_es.domain.events import AmendRefused, Event, FillAdded, StateChanged
from oms_es.domain.order import Order
from oms_es.domain.policy import Policy, Value, typed
from oms_es.domain.risk_checks import Exposure, Proposal
from oms_es.errors import OmsError
from oms_es.timestamps import SECOND
from oms_es.vocabulary import EVERY_ACCOUNT, OrderSide, OrderType, Origin, TradingLevel
from tests.builders import (
    BUY,
    NOON,
    SELL,
    SYMBOL,
    TODAY,
    Desk,
    S,
    add_fill,
    amend,
    cancel,
    change_state,
    halt,
    limit_values,
    limits,
    mark,
    num,
    submit,
    table,
    told,
)

CODES = {
    "POSITION_SIZE",
    "DAILY_LOSS",
    "POSITION_SKEW",
    "ORDER_QUANTITY",
    "ORDER_NOTIONAL",
    "OPEN_ORDERS",
    "EMERGENCY_STOP",
    "PRICE_COLLAR",
    "ORDER_RATE",
    "RESTRICTED_SYMBOL",
    "REDUCE_ONLY",
    "CLOCK",
}


def pairs(words: str) -> dict[str, str]:
    return dict(word.split("=") for word in words.split())


def rules(words: str) -> dict[str, Value]:
    named: dict[str, Value] = dict(pairs(words))
    if "restricted" in named:
        named["restricted"] = tuple(str(named["restricted"]).split(","))
    return named


def policy(words: str) -> Policy:
    return typed({"day.max_clock_step": "1000000"} | limit_values(rules(words)))


def proposal(words: str) -> Proposal:
    side, what, *flags = words.split()
    quantity, _, price = what.partition("@")
    return Proposal(
        symbol=SYMBOL,
        side=OrderSide(side),
        order_type=OrderType.MARKET if price == "market" else OrderType.LIMIT,
        quantity=num(quantity),
        total=num(quantity),
        price=None if price == "market" else num(price),
        reduce_only="reduce" in flags,
    )


def exposure(held: str, opened: str, around: str) -> Exposure:
    named = pairs(around)
    sides = {word[0]: num(word[1:]) for word in opened.split()}
    return Exposure(
        position=num(held),
        open_buys=sides.get("+", ZERO),
        open_sells=sides.get("-", ZERO),
        open_orders=int(named.get("orders", "0")),
        daily_pnl=num(named.get("pnl", "0")),
        level=TradingLevel(named.get("level", "normal")),
        mark=num(named["mark"]) if "mark" in named else None,
        multiplier=num(named.get("multiplier", "1")),
        recent_orders=int(named.get("recent", "0")),
        clock_behind=int(named.get("clock", "0")),
    )


def codes(violations: tuple[str, ...]) -> list[str]:
    return [violation.partition(":")[0] for violation in violations]


# --- the table ---


@pytest.mark.parametrize("row", table("risk"))
def test_an_order_breaks_the_limits_worked_out_by_hand_and_no_other(row: dict[str, str]) -> None:
    found = risk_checks.violations(
        proposal(row["order"]), exposure(row["held"], row["open"], row["around"]), policy(row["limits"])
    )

    assert codes(found) == row["codes"].split()


def test_the_table_has_every_code_and_cases_on_both_sides_of_it() -> None:
    rows = [row.values[0] for row in table("risk")]
    used = {code for row in rows for code in row["codes"].split()}

    assert used == CODES
    assert len(rows) >= 60
    assert len([row for row in rows if not row["codes"]]) >= 30


@pytest.mark.parametrize("row", [row for row in table("risk") if row.values[0]["codes"]])
def test_a_violation_is_a_code_then_what_was_measured_then_the_limit(row: dict[str, str]) -> None:
    found = risk_checks.violations(
        proposal(row["order"]), exposure(row["held"], row["open"], row["around"]), policy(row["limits"])
    )

    for violation in found:
        code, _, words = violation.partition(": ")
        assert code in CODES
        assert words
        assert "E+" not in violation
        assert "E-" not in violation


@pytest.mark.parametrize(
    ("order", "held", "limit", "words"),
    [
        ("buy 101@10", "0", "max_position_size=100", ["101", "100"]),
        ("sell 101@10", "0", "max_position_size=100", ["101", "100"]),
        ("buy 9@10", "0", "min_quote_size=10", ["9", "10"]),
        ("buy 100@11", "0", "max_order_notional=1000.5", ["1100", "1000.5"]),
        ("buy 1@10", "5001.5", "max_skew=5000", ["5001.5", "5000"]),
    ],
)
def test_the_figures_of_a_violation_are_those_that_were_compared(
    order: str, held: str, limit: str, words: list[str]
) -> None:
    (violation,) = risk_checks.violations(proposal(order), exposure(held, "", ""), policy(limit))

    assert all(word in violation.split() for word in words)


def test_a_log_without_a_policy_has_no_limits() -> None:
    desk = Desk()
    desk.now = NOON

    events = desk.perform(submit("999999999999999999", "999999999999999999"))

    assert told(events).endswith("idle>pending")


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
    order = Proposal(
        symbol=SYMBOL, side=side, order_type=OrderType.MARKET, quantity=quantity, total=quantity, price=None
    )
    around = Exposure(position=held, open_buys=buys, open_sells=sells, daily_pnl=pnl, level=TradingLevel.REDUCE_ONLY)

    assert risk_checks.violations(order, around, typed(values)) == ()


@given(held_amounts, amounts, amounts, amounts.filter(bool), st.sampled_from(OrderSide))
def test_what_reduces_is_opposite_to_the_position_and_fits_into_what_is_left_of_it(
    held: Decimal, buys: Decimal, sells: Decimal, quantity: Decimal, side: OrderSide
) -> None:
    order = Proposal(
        symbol=SYMBOL,
        side=side,
        order_type=OrderType.MARKET,
        quantity=quantity,
        total=quantity,
        price=None,
        reduce_only=True,
    )
    covers, sells_off = held + buys + quantity <= 0, held - sells - quantity >= 0
    reduces = (held < 0 and covers) if side is BUY else (held > 0 and sells_off)

    found = risk_checks.violations(
        order, Exposure(position=held, open_buys=buys, open_sells=sells), Policy(max_clock_step=1)
    )

    assert codes(found) == ([] if reduces else ["REDUCE_ONLY"])


# --- what is counted, from the log ---


def tell(desk: Desk, history: str) -> list[Event]:
    """Carry out commands in words; `mark 10`, `halted`, `reduce_only` and `import …` besides those of an order."""
    events: list[Event] = []
    for words in filter(None, history.split(", ")):
        verb, _, rest = words.partition(" ")
        match verb:
            case "mark":
                events = desk.perform(mark(rest))
            case "halted" | "reduce_only":
                events = desk.perform(halt(TradingLevel(verb)))
            case "import":
                events = desk.say(rest, origin=Origin.IMPORT)
            case _:
                events = desk.say(words)
    return events


def exposed(desk: Desk, account: str = "default", symbol: str = SYMBOL) -> Exposure:
    return desk.state.exposure(account, symbol, TODAY, desk.now)


@pytest.mark.parametrize("row", table("exposure"))
def test_what_is_held_and_open_is_what_the_log_says(row: dict[str, str]) -> None:
    desk = Desk()

    tell(desk, row["history"])

    found = exposed(desk)
    assert [text(found.position), text(found.open_buys), text(found.open_sells), str(found.open_orders)] == [
        row["held"],
        row["buys"],
        row["sells"],
        row["orders"],
    ]


@pytest.mark.parametrize("row", table("risk_amends"))
def test_an_amendment_is_judged_by_what_it_adds(row: dict[str, str]) -> None:
    desk = Desk()
    desk.perform(SetLimits(account=EVERY_ACCOUNT, values=limit_values(rules(row["limits"]))))
    tell(desk, row["history"])
    before: Order = desk.order()

    events = desk.say(row["command"])

    refused = [event for event in events if isinstance(event, AmendRefused)]
    assert (" ".join(codes(refused[0].violations)) if refused else told(events)) == row["outcome"]
    if refused:
        after = desk.order()
        assert (after.quantity, after.price, after.state) == (before.quantity, before.price, before.state)


def refusals(events: list[Event]) -> list[str]:
    return codes(next((e.violations for e in events if isinstance(e, StateChanged) and e.violations), ()))


def test_open_orders_and_fills_in_quarantine_count_against_the_limit() -> None:
    desk = Desk(max_position_size="150")
    tell(desk, "buy 100@10, ack, fill 150@10 t1")  # 100 open, of which 150 wait

    assert refusals(desk.perform(submit("1", order_id="o-2"))) == ["POSITION_SIZE"]
    desk.say("refuse 1")
    assert refusals(desk.perform(submit("50", order_id="o-3"))) == []
    assert refusals(desk.perform(submit("1", order_id="o-4"))) == ["POSITION_SIZE"]


def test_limits_look_at_one_account_and_one_symbol_and_open_orders_at_one_account() -> None:
    desk = Desk(max_position_size="100", max_open_orders="3")
    desk.perform(submit())

    assert refusals(desk.perform(submit(order_id="o-2", symbol="BBB"))) == []
    assert refusals(desk.perform(submit(order_id="o-3", account="b"))) == []
    assert refusals(desk.perform(submit("1", order_id="o-4"))) == ["POSITION_SIZE"]
    assert refusals(desk.perform(submit("1", order_id="o-5", symbol="CCC"))) == []
    assert refusals(desk.perform(submit("1", order_id="o-6", symbol="DDD"))) == ["OPEN_ORDERS"]


def test_an_account_has_its_own_limits_over_those_for_every_account() -> None:
    desk = Desk(max_order_quantity="100", min_quote_size="10")
    desk.perform(limits("b", max_order_quantity="500"))

    assert refusals(desk.perform(submit("101"))) == ["ORDER_QUANTITY"]
    assert refusals(desk.perform(submit("101", account="b"))) == []
    assert refusals(desk.perform(submit("9", account="b", order_id="o-2"))) == ["ORDER_QUANTITY"]


@pytest.mark.parametrize(
    ("every", "own", "codes_of_a_buy"),
    [
        (TradingLevel.HALTED, TradingLevel.NORMAL, ["EMERGENCY_STOP"]),
        (TradingLevel.NORMAL, TradingLevel.HALTED, ["EMERGENCY_STOP"]),
        (TradingLevel.REDUCE_ONLY, TradingLevel.NORMAL, ["EMERGENCY_STOP"]),
        (TradingLevel.NORMAL, TradingLevel.NORMAL, []),
    ],
)
def test_the_stricter_of_two_emergency_stops_holds(
    every: TradingLevel, own: TradingLevel, codes_of_a_buy: list[str]
) -> None:
    desk = Desk()
    desk.perform(halt(every))
    desk.perform(halt(own, "default"))

    assert refusals(desk.perform(submit())) == codes_of_a_buy


def test_an_emergency_stop_lets_cancels_and_fills_pass() -> None:
    desk = Desk()
    tell(desk, "buy 100@10, ack, halted")

    assert told(desk.say("fill 40@10 t1")) == "fill 40@10 t1"
    assert told(desk.say("correct t1 50")) == "corrected 50@10 t1"
    assert told(desk.say("bust t1")) == "busted 50@10 t1"
    assert told(desk.say("cancel")) == "working>cancelled"


def test_the_daily_loss_is_net_of_fees_and_of_this_trading_day() -> None:
    desk = Desk(max_daily_loss="100")
    tell(desk, "buy 100@10, fill 100@10 t1 fee=1")
    desk.perform(submit("100", "9.02", SELL, order_id="o-2"))
    desk.perform(add_fill("100", "9.02", "t1", order_id="o-2", fee="0.99"))
    assert exposed(desk).daily_pnl == num("-99.99")
    assert refusals(desk.perform(submit(order_id="o-3"))) == []

    desk.perform(add_fill("1", "10", "t9", order_id="o-3", fee="0.01"))
    assert refusals(desk.perform(submit(order_id="o-4"))) == ["DAILY_LOSS"]

    desk.now += 24 * 3600 * SECOND
    assert refusals(desk.perform(submit(order_id="o-5"))) == []


def test_a_loss_that_is_not_realized_counts_when_the_basis_is_total() -> None:
    for basis, expected in (("realized", []), ("total", ["DAILY_LOSS"])):
        desk = Desk(max_daily_loss="100", basis=basis)
        tell(desk, "buy 100@10, fill 100@10 t1, mark 9")

        assert refusals(desk.perform(submit(order_id="o-2", symbol="BBB"))) == expected


def test_a_loss_in_one_currency_stops_no_orders_in_another() -> None:
    desk = Desk(max_daily_loss="100")
    desk.perform(DefineInstrument(symbol="EEE", multiplier=ONE, currency="EUR"))
    tell(desk, "buy 100@10, fill 100@10 t1 fee=100")

    assert refusals(desk.perform(submit(order_id="o-2", symbol="BBB"))) == ["DAILY_LOSS"]
    assert refusals(desk.perform(submit(order_id="o-3", symbol="EEE"))) == []


def test_a_loss_stays_in_the_currency_it_was_made_in_though_its_symbol_has_another_by_now() -> None:
    desk = Desk(max_daily_loss="100")
    tell(desk, "buy 100@10, fill 100@10 t1")
    desk.perform(submit("100", "9", SELL, order_id="o-2"))
    desk.perform(add_fill("100", "9", order_id="o-2"))
    for symbol in (SYMBOL, "EEE"):
        desk.perform(DefineInstrument(symbol=symbol, multiplier=ONE, currency="EUR"))

    assert refusals(desk.perform(submit(order_id="o-3", symbol="BBB"))) == ["DAILY_LOSS"]
    assert refusals(desk.perform(submit(order_id="o-4", symbol="EEE"))) == []


def test_a_loss_of_one_account_stops_no_other() -> None:
    desk = Desk(max_daily_loss="100")
    tell(desk, "buy 100@10, fill 100@10 t1 fee=100")

    assert refusals(desk.perform(submit(account="b"))) == []


def test_the_notional_counts_the_multiplier_of_the_instrument() -> None:
    desk = Desk(max_order_notional="1000")
    desk.perform(DefineInstrument(symbol=SYMBOL, multiplier=num("10"), currency="USD"))

    assert refusals(desk.perform(submit("10", "10"))) == []
    assert refusals(desk.perform(submit("10", "10.01", order_id="o-2"))) == ["ORDER_NOTIONAL"]


def test_the_order_rate_counts_refused_orders_and_amendments_of_the_last_second_and_forgets_older_ones() -> None:
    desk = Desk(max_orders_per_second="3", max_order_quantity="100")
    assert refusals(desk.perform(submit("101"))) == ["ORDER_QUANTITY"]
    assert refusals(desk.perform(submit(order_id="o-2"))) == []
    desk.perform(amend("101", order_id="o-2"))
    assert refusals(desk.perform(submit(order_id="o-3"))) == ["ORDER_RATE"]

    desk.now += SECOND - 1
    assert refusals(desk.perform(submit(order_id="o-4"))) == ["ORDER_RATE"]

    desk.now += 1
    assert refusals(desk.perform(submit(order_id="o-5"))) == []


def test_the_order_rate_is_that_of_one_account_and_does_not_count_imports_cancels_and_fills() -> None:
    desk = Desk(max_orders_per_second="1")
    desk.say("buy 100@10", origin=Origin.IMPORT)
    tell(desk, "fill 40@10 t1, cancel")
    desk.perform(submit(order_id="o-2", account="b"))

    assert refusals(desk.perform(submit(order_id="o-3"))) == []
    assert refusals(desk.perform(submit(order_id="o-4"))) == ["ORDER_RATE"]


def test_a_clock_that_fell_behind_refuses_orders_and_nothing_else() -> None:
    desk = Desk(max_clock_step="5")
    tell(desk, "buy 100@10, ack")
    desk.now -= 5 * SECOND
    assert refusals(desk.perform(submit(order_id="o-2"))) == []

    desk.now -= 1
    assert refusals(desk.perform(submit(order_id="o-3"))) == ["CLOCK"]
    assert told(desk.say("fill 40@10 t1")) == "fill 40@10 t1"
    assert told(desk.say("cancel")) == "working>cancelled"
    assert {each.recorded_at for each in desk.log} == {NOON}
    assert [bool(getattr(each.event, "clamped", False)) for each in desk.log] == [False] * 4 + [True] * 6


def test_an_order_that_closes_a_small_position_can_still_be_repriced_when_part_of_it_is_filled() -> None:
    desk = Desk(min_quote_size="10")
    desk.say("buy 5@10", origin=Origin.IMPORT)
    desk.say("fill 5@10 t1", origin=Origin.IMPORT)
    assert refusals(desk.perform(submit("5", "11", SELL, order_id="o-2"))) == []
    desk.perform(add_fill("2", "11", order_id="o-2"))

    events = desk.perform(amend(price="10", order_id="o-2"))

    assert told(events) == "amended 5@10"


def test_a_fill_with_a_time_ahead_of_our_clock_is_recorded_flagged_and_effective_now() -> None:
    desk = Desk(max_clock_step="5")
    tell(desk, "buy 100@10, ack")

    for number, ahead in enumerate((1, 5 * SECOND + 1, 3600 * SECOND)):
        (fill,) = desk.perform(add_fill("10", trade=f"t{number}"), occurred_at=NOON + ahead)

        assert isinstance(fill, FillAdded)
        assert fill.ahead
        recorded = desk.log[-1]
        assert (recorded.occurred_at, recorded.effective_at, recorded.recorded_at) == (NOON + ahead, NOON, NOON)


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


def test_every_way_out_of_an_open_order_gives_its_room_back() -> None:
    for events in (
        [cancel()],
        [change_state(S.REJECTED)],
        [change_state(S.FAILED)],
        [change_state(S.WORKING), change_state(S.CANCELLED)],
        [amend("0")],
    ):
        desk = Desk(max_position_size="100")
        desk.perform(submit())
        for command in events:
            desk.perform(command)

        assert refusals(desk.perform(submit(order_id="o-2"))) == []
