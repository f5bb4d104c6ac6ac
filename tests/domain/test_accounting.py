"""Lots, cost and realized P&L: by hand, by law, and as other software has worked them out (design, section 6)."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.decimals import ONE, ZERO, minus, negate, plus, quotient, text, times
from oms_es.domain.accounting import Lot, Lots, MixedLots, book, lot, match, total
from oms_es.domain.commands import DefineInstrument
from oms_es.timestamps import SECOND
from oms_es.vocabulary import CostMethod
from tests.builders import BUY, METHODS, NOON, SELL, SYMBOL, Desk, add_fill, mark, num, submit, table
from tests.scenarios import Play

F, L, A = CostMethod.FIFO, CostMethod.LIFO, CostMethod.AVERAGE


def said(words: str, source: int = 0) -> Lot:
    """Return the fill that `+10@1` stands for."""
    quantity, _, price = words.partition("@")
    side = SELL if quantity.startswith("-") else BUY
    return lot(side, num(quantity.lstrip("+-")), num(price), ONE, source)


def told(lots: Lots) -> str:
    """Return lots as quantity @ price; no price is rounded."""
    return " ".join(f"{text(each.quantity)}@{text(quotient(each.cost, each.quantity))}" for each in lots)


def booked(fills: list[Lot], method: CostMethod) -> tuple[Lots, Decimal]:
    """Return the lots left and the P&L realized by all fills."""
    lots: Lots = ()
    realized = ZERO
    for fill in fills:
        lots, gained = book(lots, fill, method)
        realized = plus(realized, gained)
    return lots, realized


# --- by hand ---


@pytest.mark.parametrize("row", table("lots"))
def test_fills_leave_the_lots_and_the_profit_worked_out_by_hand(row: dict[str, str]) -> None:
    fills = [said(words) for words in row["fills"].split()]

    lots, realized = booked(fills, CostMethod(row["method"]))

    assert told(lots) == row["left"]
    assert text(realized) == row["realized"]


def test_a_share_of_an_average_that_does_not_come_out_even_leaves_its_rounding_with_the_rest() -> None:
    lots, realized = booked([said("+1@1"), said("+2@2"), said("-1@2")], A)

    # 3 cost 5: a third of it is 1.666666666666666667 at 18 places, and the rest stays.
    assert text(realized) == "0.333333333333333333"
    assert [(text(each.quantity), text(each.cost)) for each in lots] == [("2", "3.333333333333333333")]


def test_a_lot_counts_in_units_of_its_multiplier() -> None:
    assert lot(SELL, num("3"), num("4500.25"), num("10")) == Lot(num("-3"), num("-135007.5"), num("-30"))


def test_lots_of_both_sides_at_once_are_our_own_mistake() -> None:
    with pytest.raises(MixedLots):
        book((said("+1@1"), said("-1@1")), said("-1@1"), F)


# --- by law ---

sizes = st.one_of(
    st.integers(1, 10**35).map(lambda units: Decimal(f"{units}E-18")),
    st.sampled_from([num(each) for each in ("0.000000000000000001", "0.00000001", "1", "3", "100000000000000000")]),
    st.integers(1, 50).map(Decimal),
)
prices = st.one_of(
    st.integers(-(10**35), 10**35).map(lambda units: Decimal(f"{units}E-18")),
    st.sampled_from(
        [num(each) for each in ("0.000000000000000001", "0", "7", "-7", "99999999999999999.999999999999999999")]
    ),
    st.integers(-5, 50).map(Decimal),
)
multipliers = st.sampled_from([ONE, num("10"), num("0.01"), num("0.000000000000000003")])
methods = st.sampled_from(METHODS)


@st.composite
def histories(draw: st.DrawFn) -> list[Lot]:
    """Draw the fills of one symbol, numbered from 1; after a bust, lots of several multipliers may stand together."""
    several = multipliers if draw(st.booleans()) else st.just(draw(multipliers))
    fills = draw(st.lists(st.tuples(st.sampled_from([BUY, SELL]), sizes, prices, several), max_size=15))
    return [lot(*fill, source) for source, fill in enumerate(fills, start=1)]


@given(histories(), methods)
def test_after_every_fill_money_quantity_and_units_are_conserved_to_the_last_digit(
    fills: list[Lot], method: CostMethod
) -> None:
    lots: Lots = ()
    realized = cash = held = units = ZERO
    for fill in fills:
        left, matches = match(lots, fill, method)
        lots, gained = book(lots, fill, method)
        realized, cash = plus(realized, gained), minus(cash, fill.cost)
        held, units = plus(held, fill.quantity), minus(plus(units, fill.units), sum_of(each.units for each in matches))
        quantity, cost_basis, open_units = total(lots)

        assert minus(realized, cost_basis) == cash
        assert (quantity, open_units) == (held, units)
        assert left == lots
        assert len({each.quantity > 0 for each in lots}) <= 1, "lots of both sides"
        assert all(each.quantity for each in lots)
        assert method is not A or len(lots) <= 1


@given(histories(), methods)
def test_the_parts_that_a_fill_closed_add_up_to_what_it_realized(fills: list[Lot], method: CostMethod) -> None:
    lots: Lots = ()
    for fill in fills:
        left, matches = match(lots, fill, method)
        kept, realized = book(lots, fill, method)
        quantity, cost, _ = total(lots)

        assert left == kept
        assert sum_of(each.realized for each in matches) == realized
        assert all(each.realized == minus(each.proceeds, each.cost) for each in matches)
        closed = sum_of(each.quantity for each in matches)
        opened = [each for each in left if each.source == fill.source and each not in lots]
        if matches:  # what stood there before is closed or still open; the fill has closed and perhaps opened
            assert minus(plus(quantity, fill.quantity), total(left)[0]) == 0
            assert plus(sum_of(each.cost for each in matches), total(left)[1]) == plus(cost, total(opened)[1])
            assert plus(negate(closed), total(opened)[0]) == fill.quantity
            assert plus(sum_of(each.proceeds for each in matches), negate(total(opened)[1])) == negate(fill.cost)
        lots = left


def sum_of(numbers: Any) -> Decimal:
    found = ZERO
    for number in numbers:
        found = plus(found, number)
    return found


@given(histories(), methods)
def test_a_match_names_the_fill_that_opened_and_the_fill_that_closed(fills: list[Lot], method: CostMethod) -> None:
    lots: Lots = ()
    for fill in fills:
        left, matches = match(lots, fill, method)
        standing = [each.source for each in lots]

        assert {each.closed_by for each in matches} <= {fill.source}
        oldest_first = [each.opened_by for each in matches]
        expected = standing[::-1] if method is L else standing
        assert oldest_first == expected[: len(matches)]
        assert all((each.quantity > 0) != (fill.quantity > 0) for each in matches)
        lots = left


@given(histories(), methods)
def test_a_flip_opens_the_rest_at_the_price_of_the_fill(fills: list[Lot], method: CostMethod) -> None:
    lots: Lots = ()
    for fill in fills:
        before, *_ = total(lots)
        lots, _ = book(lots, fill, method)
        after, *_ = total(lots)
        if times(before, after) < 0:
            (opened,) = lots
            assert times(opened.cost, fill.quantity) == times(fill.cost, opened.quantity)


@given(histories())
def test_every_method_realizes_the_same_once_all_is_closed(fills: list[Lot]) -> None:
    open_quantity, *_ = total(fills)
    if open_quantity:
        fills = [*fills, _lot_at(negate(open_quantity), num("7"), len(fills) + 1)]

    ends = [booked(fills, method) for method in METHODS]

    assert [lots for lots, _ in ends] == [(), (), ()]
    assert len({realized for _, realized in ends}) <= 1


def _lot_at(quantity: Decimal, price: Decimal, source: int) -> Lot:
    return Lot(quantity, times(quantity, price), quantity, source)


def _mirrored(each: Lot) -> Lot:
    return Lot(negate(each.quantity), negate(each.cost), negate(each.units), each.source)


@given(histories(), methods)
def test_a_book_turned_upside_down_realizes_the_opposite_of_its_mirror(fills: list[Lot], method: CostMethod) -> None:
    mirrored = list(map(_mirrored, fills))

    lots, realized = booked(fills, method)
    mirrored_lots, mirrored_realized = booked(mirrored, method)

    assert mirrored_realized == negate(realized)
    assert mirrored_lots == tuple(map(_mirrored, lots))


def test_nothing_is_lost_between_the_smallest_and_the_largest_numbers_there_are() -> None:
    small, large = num("0.000000000000000001"), num("100000000000000000")
    fills = [
        lot(BUY, large, large, ONE, 1), lot(BUY, small, small, ONE, 2), lot(SELL, large, small, ONE, 3),
        lot(SELL, small, large, ONE, 4),
    ]  # fmt: skip

    for method in METHODS:
        lots, realized = booked(fills, method)
        assert lots == ()
        assert text(realized) == "-9999999999999999999999999999999999.800000000000000000000000000000000001"


# --- fills put right later ---

# Bought and sold on the first day, put right on the second: lots are folded again as if it had been right from the
# start, and the difference in realized P&L belongs to the day on which it was put right.
RESTATED = [
    ("fifo", "correct b1 @11", "200", "-100", ""),  # 100 x (12 - 11) instead of 100 x (12 - 10)
    ("fifo", "correct b1 50", "200", "-100", "-50@12"),  # 50 were sold short at 12
    ("fifo", "correct b1 150", "200", "0", "50@10"),
    ("fifo", "bust b1", "200", "-200", "-100@12"),
    ("fifo", "bust s1", "200", "-200", "100@10"),
    ("fifo", "correct s1 @15", "200", "300", ""),
    ("average", "correct b1 @11", "200", "-100", ""),
    ("lifo", "bust s1", "200", "-200", "100@10"),
]


@pytest.mark.parametrize(("method", "command", "first", "second", "left"), RESTATED)
def test_a_fill_put_right_changes_the_lots_from_the_start_and_the_profit_of_the_day_it_was_put_right(
    method: str, command: str, first: str, second: str, left: str
) -> None:
    played = Play(CostMethod(method))
    of = command.split()[1][0]
    history = "b: buy 500@10, s: sell 500@12, b: fill 100@10 b1, s: fill 100@12 s1, wait 86400"
    for words in (*history.split(", "), f"{of}: {command}"):
        played.perform(words)

    positions = played.desk.state.positions
    days = [day for _, day in sorted(positions.days.items())]
    assert [text(day.gross) for day in days] == [first, second]
    assert told(positions.held["default", SYMBOL, "USD"].lots) == left


def rows_of(*commands: str) -> dict[str, str | None]:
    """Return the figures of the one position after commands in words."""
    played = Play()
    for words in commands:
        played.perform(words)
    (row,) = played.desk.state.positions.rows()
    return {name: text(value) if isinstance(value, Decimal) else value for name, value in row.items()}


def test_a_fee_put_right_is_booked_on_the_day_it_was_put_right() -> None:
    played = Play()
    for words in ("buy 100@10", "fill 100@10 t1 fee=3", "wait 86400", "correct t1 @10 fee=1"):
        played.perform(words)

    days = [day for _, day in sorted(played.desk.state.positions.days.items())]
    assert [text(day.fees) for day in days] == ["3", "-2"]
    assert text(played.desk.state.positions.held["default", SYMBOL, "USD"].realized) == "-1"


@pytest.mark.parametrize(("commands", "figures"), [
    ("buy 100@10, fill 100@10 t1 fee=3, o-2: sell 60@12, o-2: fill 60@12 t1 fee=-0.5",  # realized P&L is net of fees
     {"quantity": "40", "avg_price": "10", "cost_basis": "400", "fees": "2.5", "gross_realized_pnl": "120",
      "realized_pnl": "117.5", "mark_price": None, "unrealized_pnl": None}),
    ("sell 100@10, fill 100@10 t1, mark 9",  # a short: negative cost basis, positive average price
     {"quantity": "-100", "cost_basis": "-1000", "avg_price": "10", "unrealized_pnl": "100"}),
    ("buy 100@10, wait 10, fill 1@10 t1 at=-2, fill 1@10 t2 at=-1, fill 1@10 t3 at=-5",  # the latest at the venue
     {"updated_at": NOON + 9 * SECOND, "fills": 3}),
])  # fmt: skip
def test_a_position_shows_quantity_cost_pnl_and_the_time_of_its_latest_fill(
    commands: str, figures: dict[str, object]
) -> None:
    shown = rows_of(*commands.split(", "))

    assert {name: shown[name] for name in figures} == figures


# --- as other software has worked it out ---


def cases(shared_path: Path, name: str) -> list[dict[str, Any]]:
    content = json.loads((shared_path / "acceptance" / name).read_text(encoding="utf-8"))
    found = content["cases"]
    assert len(found) == content["case_count"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("method", [F, L])
def test_lots_and_realized_pnl_are_those_of_beancount_after_every_fill(shared_path: Path, method: CostMethod) -> None:
    """Source: ../shared/acceptance/lots.json, worked out with beancount 3.2.3, exact; gross."""
    for case in cases(shared_path, "lots.json"):
        lots: Lots = ()
        realized = ZERO
        for number, (fill, expected) in enumerate(zip(case["fills"], case[method.value], strict=True)):
            opened = lot(BUY if fill["side"] == "BUY" else SELL, num(fill["qty"]), num(fill["price"]), ONE, number)
            lots, matches = match(lots, opened, method)
            realized = plus(realized, sum_of(each.realized for each in matches))

            where = f"{case['id']}, fill {number}"
            assert text(realized) == text(num(expected["realized_pnl"])), where
            assert sorted((e.source, e.quantity, quotient(e.cost, e.quantity)) for e in lots) == sorted(
                (e["opened_fill"], num(e["qty"]), num(e["cost"])) for e in expected["remaining_lots"]
            ), where
            assert sorted((e.opened_by, abs(e.quantity), quotient(e.cost, e.quantity)) for e in matches) == sorted(
                (e["opened_fill"], num(e["qty"]), num(e["cost"])) for e in expected["matched_lots"]
            ), where


def money(precision: int, fills: int) -> Decimal:
    """Return the file's own tolerance: it was worked out in binary floating point, and rounds money at each fill."""
    return {10: num("0.00001"), 8: num("0.000001"), 2: num("0.005") * (fills + 1)}[precision]


RELATIVE = num("0.000000001")
EXACT = num("0.000000000000001")  # its exact columns are rounded at the 18th place, and so are our shares


def test_positions_are_those_of_nautilus_trader_after_every_fill(shared_path: Path) -> None:
    """Source: ../shared/acceptance/positions.json, worked out by running NautilusTrader 1.231.0; average cost."""
    for case in cases(shared_path, "positions.json"):
        desk = Desk(A)
        if case["multiplier"] != "1":
            desk.perform(DefineInstrument(symbol=SYMBOL, multiplier=num(case["multiplier"]), currency="USD"))
        for number, step in enumerate(case["steps"], start=1):
            trade(desk, f"o-{number}", step)
            close = money(case["money_precision"], number)

            row = desk.state.positions.rows()[0]
            where = f"{case['id']}, fill {number}"
            assert row["quantity"] == num(step["signed_qty"]), where
            assert abs(row["realized_pnl"] - Decimal(step["total_realized_pnl"])) <= close, where
            assert abs(row["fees"] - Decimal(step["total_commissions"])) <= close, where
            assert abs(row["unrealized_pnl"] - Decimal(step["unrealized_pnl"])) <= close, where
            assert abs(row["gross_realized_pnl"] - Decimal(step["exact_gross_realized_pnl"])) <= EXACT, where
            assert abs(row["realized_pnl"] - Decimal(step["exact_net_realized_pnl"])) <= EXACT, where
            assert abs(row["unrealized_pnl"] - Decimal(step["exact_unrealized_pnl"])) <= EXACT, where
            average, expected = row["avg_price"], step["avg_px_open"]
            assert (average is None) == (expected is None), where
            if average is not None:
                assert abs(average - Decimal(str(expected))) <= RELATIVE * abs(average), where
                assert abs(average - Decimal(step["exact_avg_px_open"])) <= EXACT, where


def trade(desk: Desk, order_id: str, step: dict[str, Any]) -> None:
    """Put one fill of the file into the log, as an order that it fills; then the mark."""
    side = BUY if step["side"] == "BUY" else SELL
    desk.perform(submit(step["qty"], step["price"], side, order_id=order_id))
    desk.perform(add_fill(step["qty"], step["price"], "t1", order_id=order_id, fee=step["commission"]))
    desk.perform(mark(step["mark_price"]))
