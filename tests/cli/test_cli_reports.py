"""`oms apply`, `oms cancel --request` and `oms instrument`."""

import json
from pathlib import Path

from tests.cli.test_cli import Oms


def worked(log: Path) -> Oms:
    oms = Oms(log)
    oms("submit ADA buy limit 100 0.5 --order-id c-1")
    return oms


def test_reports_of_a_file_are_applied_once(tmp_path: Path) -> None:
    log, file = tmp_path / "x.db", tmp_path / "r.jsonl"
    oms = worked(log)
    lines = [
        {"status": "working", "order_id": "c-1", "external_order_id": "V1"},
        {"external_order_id": "V1", "trade_id": "t1", "quantity": "40", "price": "0.5"},
        {"status": "working", "external_order_id": "V1", "filled_quantity": 60, "avg_fill_price": "0.5"},
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + "\n")

    first = oms.json(f"apply {file}")
    again = oms.json(f"apply {file}")
    (order,) = first["orders"]
    assert (first["reports"], order["state"], order["filled_quantity"]) == (3, "working", "60")
    assert (again["events"], again["orders"]) == (0, first["orders"])
    assert "3 reports, 0 new events" in oms(f"apply {file}").stderr


def test_a_bad_line_is_named_and_nothing_is_applied(tmp_path: Path) -> None:
    log, file = tmp_path / "x.db", tmp_path / "r.jsonl"
    oms = worked(log)
    good = '{"status": "working", "order_id": "c-1"}\n'
    for bad, why in (
        ('{"status": "open", "order_id": "c-1"}', "status: 'open' is not one of"),
        ('{"order_id": "c-1", "quantity": 1}', "a trade needs a quantity and a price"),
        ('{"order_id": "c-1", "qty": 1}', "'qty' is not a field of a report"),
        ('{"status": "working"}', "a report needs this id"),
        ("[1]", "is not a JSON object"),
        ("{", "is not JSON"),
    ):
        file.write_text(f"{good}{bad}\n")
        found = oms(f"apply {file}", code=1)
        assert f"{file}:2: " in found.stderr
        assert why in found.stderr
    assert oms.json("order c-1")["order"]["state"] == "pending"


def test_a_cancel_may_be_a_request_and_instruments_have_steps(tmp_path: Path) -> None:
    log = tmp_path / "x.db"
    oms = worked(log)
    requested = oms.json("cancel c-1 --request")
    assert (requested["state"], requested["pending_cancel"], requested["open_quantity"]) == ("pending", True, "100")
    assert oms.json("instrument ADA --base ADA --quantity-step 1")["quantity_step"] == "1"
    assert oms.json("instrument ADA --price-step 0.01")["base"] == "ADA"
