"""
FIX's own order state changes, message by message.

Source: ../shared/acceptance/fix_scenarios.json, FIX 4.2 and 4.4 appendix D as published; the mapping of OrdStatus to
our states is that of ../shared/acceptance/README.md.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms_es.domain.commands import AddFill, AmendOrder, BustFill, CancelOrder, ChangeState, Command, SubmitOrder
from oms_es.errors import CommandConflict, UnknownOrder
from oms_es.vocabulary import OrderSide, OrderState, OrderType
from tests.builders import Desk, S

Row = dict[str, Any]

STATES = {
    "PendingNew": S.PENDING, "New": S.WORKING, "PartiallyFilled": S.WORKING, "PendingCancel": S.WORKING,
    "PendingReplace": S.WORKING, "Filled": S.FILLED, "Canceled": S.CANCELLED, "Expired": S.CANCELLED,
    "Rejected": S.REJECTED,
}  # fmt: skip
PRICE = Decimal(50)
DUPLICATE_ORDER = 6  # OrdRejReason 103


@pytest.fixture(scope="module")
def scenarios(shared_path: Path) -> dict[str, Row]:
    content = json.loads((shared_path / "acceptance" / "fix_scenarios.json").read_text(encoding="utf-8"))
    return {each["id"]: each for each in content["scenarios"]}


IDS = ["A.1.a", "B.1.a", "B.1.b", "C.1.a", "C.3.a", "E.1.a", "F.1.a", "G.1.a", "I.1.a", "J.1.b", "K.1.a", "X.A.1.c"]


class Venue:
    """Turns FIX messages about one order into our commands."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.amounts: list[tuple[Decimal, Decimal]] = []  # what was executed and stands, as the messages tell it
        self.by_exec_id: dict[str, int] = {}

    def receive(self, row: Row) -> None:
        """Carry out what a message says."""
        match row["message"]:
            case "NewOrderSingle":
                self.place(row)
            case "ExecutionReport" if row["exec_type"] == "OrderStatus":
                with pytest.raises(UnknownOrder):  # a question about an order that does not exist
                    self.desk.perform(CancelOrder(order_id=row["cl_ord_id"]))
            case "ExecutionReport":
                self.report(row)
            case _:
                pass  # requests and refusals of requests change nothing, notes are for people

    def place(self, row: Row) -> None:
        order = SubmitOrder(
            order_id="X", symbol="IBM", side=OrderSide.BUY, order_type=OrderType.LIMIT,
            quantity=Decimal(row["order_qty"]), price=PRICE,
        )  # fmt: skip
        if ("default", "X") in self.desk.state.orders.orders:
            with pytest.raises(CommandConflict):
                self.desk.perform(order)
        else:
            self.desk.perform(order)

    def report(self, row: Row) -> None:
        if ("default", "X") not in self.desk.state.orders.orders:
            self.place(row)  # an order that came by telephone is met in the venue's first report
        if row.get("ord_rej_reason") == DUPLICATE_ORDER:
            return  # it is the repetition that was rejected; `place` has refused it already
        command = self.reported(row)
        if command is not None:
            self.desk.perform(command)

    def reported(self, row: Row) -> Command | None:
        match row["exec_type"]:
            case "New":
                return ChangeState(order_id="X", new=S.WORKING, external_order_id="V")
            case "Trade":
                return self.trade(row)
            case "TradeCancel":
                self.amounts[self.by_exec_id[row["exec_ref_id"]]] = (Decimal(0), Decimal(0))
                return BustFill(order_id="X", trade_id=row["exec_ref_id"])
            case "Replaced":
                return AmendOrder(order_id="X", quantity=Decimal(row["order_qty"]))
            case "Canceled":
                return CancelOrder(order_id="X")
            case "Rejected":
                return ChangeState(order_id="X", new=S.REJECTED)
            case "PendingCancel" | "PendingReplace" | "PendingNew":
                return None
            case unknown:
                raise AssertionError(f"no adapter for ExecType {unknown}")

    def trade(self, row: Row) -> AddFill:
        trade_id = row.get("exec_id") or f"exec-{row['t']}"
        quantity, price = Decimal(row["last_qty"]), Decimal(row.get("last_px") or PRICE)
        self.by_exec_id[trade_id] = len(self.amounts)
        self.amounts.append((quantity, price))
        return AddFill(order_id="X", fill_quantity=quantity, fill_price=price, trade_id=trade_id)

    def agrees(self, row: Row) -> None:
        """Compare the order with what the message says of it."""
        if row["ord_status"] is None or row["exec_type"] == "OrderStatus":
            return
        order = self.desk.order("X")
        assert order.state is STATES[row["ord_status"]], row
        if row["cum_qty"] is not None:
            assert order.filled_quantity == row["cum_qty"], row
            assert order.open_quantity == row["leaves_qty"], row
            assert order.quantity == row["order_qty"] or order.state.is_terminal, row
            filled = sum((quantity for quantity, _ in self.amounts), Decimal(0))
            cost = sum((quantity * price for quantity, price in self.amounts), Decimal(0))
            assert order.avg_fill_price == (cost / filled if filled else 0), row
            assert self.desk.state.positions.position("default", "IBM") == row["cum_qty"], row


def played(rows: list[Row]) -> Venue:
    venue = Venue()
    for row in rows:
        venue.receive(row)
        venue.agrees(row)
    return venue


def main_path(scenario: Row) -> list[Row]:
    return [row for row in scenario["rows"] if not row["alternative_branch"]]


def branches(scenario: Row) -> list[list[Row]]:
    """Return the paths that end in an alternative: what came before it on the main path, and then it."""
    return [
        [*(row for row in main_path(scenario) if int(row["t"]) < int(other["t"])), other]
        for other in scenario["rows"]
        if other["alternative_branch"]
    ]


def test_the_scenarios_are_those_that_the_tests_name(scenarios: dict[str, Row]) -> None:
    assert list(scenarios) == IDS


@pytest.mark.parametrize("name", IDS)
def test_an_order_goes_through_the_states_and_quantities_of_fix(scenarios: dict[str, Row], name: str) -> None:
    rows = main_path(scenarios[name])

    venue = played(rows)

    assert rows
    assert venue.desk.order("X").version > 1


@pytest.mark.parametrize("name", ["A.1.a", "B.1.a", "B.1.b", "C.1.a", "C.3.a", "I.1.a", "K.1.a", "X.A.1.c"])
def test_an_alternative_branch_ends_as_fix_says(scenarios: dict[str, Row], name: str) -> None:
    paths = branches(scenarios[name])

    ends = [played(path).desk.order("X").state for path in paths]

    assert ends == [STATES[path[-1]["ord_status"]] for path in paths]
    assert ends


def test_a_request_that_was_refused_leaves_the_order_to_go_on_as_before(scenarios: dict[str, Row]) -> None:
    """A cancel reject, then the executions of the main path of a filled order."""
    refused = [row for row in scenarios["B.1.b"]["rows"] if row["message"] == "OrderCancelReject"]
    rows = main_path(scenarios["A.1.a"])

    venue = played([*rows[:3], *refused[:1], *rows[3:]])

    assert len(refused) == 2
    assert venue.desk.order("X").state is OrderState.FILLED


def test_a_fill_after_the_cancel_is_late_and_moves_the_position(scenarios: dict[str, Row]) -> None:
    venue = played(main_path(scenarios["J.1.b"]))

    order = venue.desk.order("X")
    assert [(fill.busted, fill.late) for fill in order.fills] == [(True, False), (False, True)]
    assert order.avg_fill_price == 51
