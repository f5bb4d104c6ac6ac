"""`oms ingest`: JSON lines in, one durable answer per line, in order."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oms_es.cli import app
from oms_es.log.sqlite import SqliteLog
from tests.cli.test_cli import Oms
from tests.desk import ROOT, filled, submitted


@pytest.fixture
def oms(tmp_path: Path) -> Oms:
    return Oms(tmp_path / "day.db")


def command(name: str, **fields: Any) -> str:
    return json.dumps({"command": name, **fields})


def buy(order_id: str, quantity: str = "10", **fields: Any) -> str:
    order = {"order_id": order_id, "symbol": "ADA", "side": "buy", "order_type": "limit", "price": "0.45"}
    return command("submit", **order, quantity=quantity, **fields)


def ingest(oms: Oms, lines: Sequence[str], end: str = "\n") -> list[dict[str, Any]]:
    text = "\n".join(lines) + end
    done = CliRunner().invoke(app, ["ingest"], input=text, env={"OMS_LOG": str(oms.log)})
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_ingest_answers_each_line_in_order_with_the_order_after_it(oms: Oms) -> None:
    lines = [buy("a"), command("ack", order_id="a", external_order_id="V-1")]
    lines += [command("fill", order_id="V-1", fill_quantity="4", fill_price="0.44", trade_id="t-1")]

    answers = ingest(oms, lines)

    assert [(each["line"], each["ok"]) for each in answers] == [(1, True), (2, True), (3, True)]
    assert [each["order"]["state"] for each in answers] == ["pending", "working", "working"]
    assert answers[2]["order"]["filled_quantity"] == "4"
    assert oms.held() == {"ADA": "4"}


def test_ingest_answers_errors_and_carries_out_the_lines_after_them(oms: Oms) -> None:
    lines = ["{", "[]", "", '{"symbol": "ADA"}', command("buy"), command("cancel"), command("ack", order_id="nobody")]
    lines += [
        buy("big", "1000000"),
        buy("a", extra="1"),
        buy("x" * 70_000),
        command("fill", order_id="z", fill_quantity="1", fill_price="1"),
    ]
    lines += [command("submit", symbol="ADA", side="buy", order_type="limit", quantity=0.5, price="1"), buy("good")]

    answers = ingest(oms, lines)

    kinds = [None if each["ok"] else each["error"]["type"] for each in answers]
    assert kinds == [
        *["InvalidInput"] * 6,
        "UnknownOrder",
        "OrderRejected",
        "InvalidInput",
        "InvalidInput",
        "FillQuarantinedError",
        "InvalidInput",
        None,
    ]
    assert answers[7]["error"]["violations"][0].startswith("POSITION_SIZE")
    assert answers[7]["order"]["state"] == "rejected"
    assert answers[10]["error"]["quarantine_id"].startswith("q-")
    assert "order_id" in answers[5]["error"]["message"]


def test_ingest_imports_facts_between_commands_once(oms: Oms) -> None:
    lines = [submitted(1, "f", price="10"), filled(2, "f", qty="60"), buy("a"), filled(2, "f", qty="60")]

    answers = ingest(oms, lines, end="")

    assert [each["ok"] for each in answers] == [True] * 4
    assert oms.held() == {"X": "60"}
    assert answers[3]["order"]["filled_quantity"] == "60"


def test_ingest_records_reports_of_a_venue(oms: Oms) -> None:
    ids = {"external_order_id": "V-1", "order_id": "a"}
    fill = {"external_order_id": "V-1", "trade_id": "t-1", "quantity": "4", "price": "0.44"}
    lines = [buy("a"), *(json.dumps({"report": each}) for each in ({**ids, "status": "working"}, fill, fill, {"x": 1}))]

    answers = ingest(oms, lines)

    assert [each["ok"] for each in answers] == [True, True, True, True, False]
    assert (answers[3]["order"]["state"], answers[3]["order"]["filled_quantity"]) == ("working", "4")
    assert "not a field of a report" in answers[4]["error"]["message"]


def test_ingest_appends_the_lines_in_flight_in_one_transaction(oms: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    append = SqliteLog.append

    def counted(log: SqliteLog, drafts: Any, *rest: Any, **more: Any) -> int:
        sizes.append(len(drafts))
        return append(log, drafts, *rest, **more)

    monkeypatch.setattr(SqliteLog, "append", counted)

    answers = ingest(oms, [command("mark", symbol="ADA", price=str(n)) for n in range(1, 301)])

    assert [each["line"] for each in answers] == list(range(1, 301))
    assert len(sizes) <= 3
    assert sum(sizes) == 301  # and the policy


def started(log: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "oms_es", "ingest", "--log", str(log)],
        cwd=log.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_ingest_loses_nothing_that_it_acknowledged(oms: Oms, number: signal.Signals, code: int) -> None:
    process = started(oms.log)
    assert process.stdin is not None
    assert process.stdout is not None
    for n in range(20):
        process.stdin.write(command("mark", symbol=f"S{n}", price="1") + "\n")
    process.stdin.flush()
    first = [json.loads(process.stdout.readline()) for _ in range(10)]  # before the input has ended

    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)

    answers = [*first, *(json.loads(line) for line in rest.splitlines() if line.endswith("}"))]
    assert process.returncode == code
    assert [each["line"] for each in answers] == list(range(1, len(answers) + 1))
    log = SqliteLog.existing(oms.log)
    try:
        assert len(list(log.read(topics={"MarkRecorded"}))) >= len(answers)
    finally:
        log.close()


def test_ingest_ends_quietly_when_nobody_reads_its_answers(oms: Oms) -> None:
    process = started(oms.log)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.write(command("mark", symbol="ADA", price="1") + "\n")
    process.stdin.flush()

    assert process.wait(timeout=60) == 0
    process.stdin.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
