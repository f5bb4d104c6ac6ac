"""The command line: what each command answers, to a person, to a program, and with which exit code."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from oms_es import __version__
from oms_es.cli import app
from oms_es.cli.app import BELOW, COMMANDS

ORDER_KEYS = [
    "order_id",
    "account",
    "symbol",
    "side",
    "order_type",
    "quantity",
    "price",
    "state",
    "filled_quantity",
    "remaining_quantity",
    "open_quantity",
    "avg_fill_price",
    "fees",
]
POSITION_KEYS = [
    "account",
    "symbol",
    "quantity",
    "avg_price",
    "cost_basis",
    "realized_pnl",
    "gross_realized_pnl",
    "fees",
    "mark_price",
    "unrealized_pnl",
]


class Oms:
    """The command `oms`, said as one would type it, over one log."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __call__(self, words: str | Sequence[str], code: int = 0, **environment: str) -> Result:
        """Run it and expect an exit code; no traceback is ever shown."""
        arguments = shlex.split(words) if isinstance(words, str) else list(words)
        result = CliRunner().invoke(app, arguments, env={"OMS_LOG": str(self.log), **environment})
        assert result.exit_code == code, f"oms {words}: {result.exit_code}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.output
        return result

    def json(self, words: str, code: int = 0) -> Any:
        """Return what it answers to a program."""
        return json.loads(self(f"{words} --json", code).stdout)

    def held(self, words: str = "positions") -> dict[str, str]:
        """Return the quantities held, by symbol."""
        return {row["symbol"]: row["quantity"] for row in self.json(words)["positions"]}


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    monkeypatch.chdir(tmp_path)
    return Oms(tmp_path / "day.db")


@pytest.fixture(scope="module")
def recorded_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log in which ADA was bought at two prices and sold in part, and BTC was shorted."""
    oms = Oms(tmp_path_factory.mktemp("day") / "day.db")
    oms("submit ADA buy limit 100 0.45 --order-id a-1 --occurred-at 2024-03-15T13:00:00Z")
    oms("ack a-1 --external-id V-1 --occurred-at 2024-03-15T13:00:01Z")
    oms("fill a-1 60 0.45 --trade-id t-1 --fee 0.01 --occurred-at 2024-03-15T13:00:02Z")
    oms("fill a-1 40 0.44 --trade-id t-2 --fee -0.02 --occurred-at 2024-03-15T13:00:03Z")
    oms("submit ADA sell limit 50 0.5 --order-id a-2 --occurred-at 2024-03-15T14:00:00Z")
    oms("fill a-2 20 0.5 --trade-id t-3 --occurred-at 2024-03-15T14:00:01Z")
    oms("submit BTC sell market 20 --order-id b-1 --account zeta --occurred-at 2024-03-15T14:30:00Z")
    oms("fill b-1 20 60000 --trade-id t-4 --occurred-at 2024-03-15T14:30:01Z")
    oms("mark ADA 0.48 --occurred-at 2024-03-15T14:31:00Z")
    return oms.log


@pytest.fixture
def day(oms: Oms, recorded_day: Path) -> Oms:
    """Return a log of one's own of that day."""
    shutil.copy(recorded_day, oms.log)
    return oms


# --- help ---


def commands() -> list[str]:
    found = [name for below in COMMANDS.values() for name in below]
    return ["", *found, *(f"{name} {each}" for name, below in BELOW.items() for each in below)]


@pytest.mark.parametrize("command", commands())
def test_help_shows_an_example_of_every_command(oms: Oms, command: str) -> None:
    shown = " ".join(oms(f"{command} --help").stdout.split())

    assert f"For example: oms {command or 'demo'}" in shown


@pytest.mark.parametrize("words", ["", "import"])
def test_without_a_command_help_is_shown(oms: Oms, words: str) -> None:
    assert oms(words).stdout.startswith("Usage: ")


def test_help_lists_the_commands_by_subject(oms: Oms) -> None:
    lines = oms("").stdout.partition("\nTrade:\n")[2].splitlines()

    listed = ["Trade:", *(line if line.endswith(":") else line.split()[0] for line in lines if line)]
    assert listed == [word for subject, below in COMMANDS.items() for word in (f"{subject}:", *below)]


def test_the_summary_of_a_command_begins_its_own_help() -> None:
    root: Any = typer.main.get_command(app)

    for commands in COMMANDS.values():
        for name, (_, summary) in commands.items():
            assert root.commands[name].get_short_help_str(200) == summary


def test_help_of_all_commands_imports_the_module_of_none() -> None:
    listed = "import sys; from oms_es.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"

    modules = subprocess.run([sys.executable, "-c", listed], capture_output=True, check=True, text=True).stdout.split()

    assert not {"oms_es.cli.options", "oms_es.api.oms", "oms_es.domain.events", "eventsourcing"} & set(modules)


def test_no_summary_in_help_is_longer_than_50_characters_or_cut(oms: Oms) -> None:
    summaries = [
        line.strip().partition("  ")[2].strip()
        for command in ("", *BELOW)
        for line in oms(f"{command} --help", COLUMNS="80")
        .stdout.partition("  Show this message and exit.\n")[2]
        .splitlines()
        if line.startswith("  ")
    ]

    assert len(summaries) == len(commands()) - 1
    assert [each for each in summaries if len(each) > 50 or not each.endswith(".") or each.endswith("..")] == []


@pytest.mark.parametrize("command", commands())
def test_h_is_help_for_every_command(oms: Oms, command: str) -> None:
    assert oms(f"{command} -h").stdout == oms(f"{command} --help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed_for_a_shell(shell: str, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}

    run_program("--install-completion", shell, **home)

    scripts = [each.read_text() for each in tmp_path.rglob("*") if each.is_file()]
    assert any("_OMS_COMPLETE" in script for script in scripts)


def test_completion_offers_the_commands_that_begin_so() -> None:
    asked = {"_OMS_COMPLETE": "complete_bash", "COMP_WORDS": "oms pos", "COMP_CWORD": "1"}

    assert run_program(**asked).split() == ["positions"]


def test_python_m_oms_es_is_oms(oms: Oms) -> None:
    shown = oms("--help").stdout.replace("Usage: root", "Usage: oms")

    assert run_program("--help").split() == shown.split()  # each has the width of its terminal


def run_program(*words: str, **environment: str) -> str:
    """Run `python -m oms_es` and return its standard output."""
    command = [sys.executable, "-m", "oms_es", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.stderr == ""
    return done.stdout


def test_the_version_is_told(oms: Oms) -> None:
    assert oms("--version").stdout == f"oms_es {__version__}\n"


# --- commands about orders and fills ---


def test_an_order_goes_through_its_day(oms: Oms) -> None:
    submitted = oms.json("submit ADAUSDM buy limit 100 0.45 --order-id o-1")
    acknowledged = oms.json("ack o-1 --external-id V-8812")
    filled = oms.json("fill V-8812 50 0.451 --trade-id t-1 --fee -0.01")
    amended = oms.json("amend o-1 --quantity 80 --price 0.46")
    cancelled = oms.json("cancel o-1 --reason 'end of day'")

    assert list(submitted)[: len(ORDER_KEYS)] == ORDER_KEYS
    assert [row["state"] for row in (submitted, acknowledged, filled)] == ["pending", "working", "working"]
    assert acknowledged["external_order_id"] == "V-8812"
    assert (filled["filled_quantity"], filled["avg_fill_price"], filled["fees"]) == ("50", "0.451", "-0.01")
    assert (amended["quantity"], amended["price"], amended["open_quantity"]) == ("80", "0.46", "30")
    assert (cancelled["state"], cancelled["reason"], cancelled["open_quantity"]) == ("cancelled", "end of day", "0")


def test_a_command_shows_the_order_in_one_line_under_its_titles(oms: Oms) -> None:
    shown = oms("submit ADAUSDM buy limit 100 0.45 --order-id o-1 --time-in-force ioc --reduce-only", code=1).stdout

    titles = "order symbol side type quantity price state filled open avg price fees note"
    assert " ".join(shown.splitlines()[0].split()) == titles
    assert "reduce only; ioc; REDUCE_ONLY: " in shown


@pytest.mark.parametrize(("command", "state"), [("reject", "rejected"), ("fail", "failed")])
def test_the_venue_ends_an_order_with_what_it_says(oms: Oms, command: str, state: str) -> None:
    oms("submit ADAUSDM buy market 20 --order-id o-1")

    row = oms.json(f"{command} o-1 --message 'no such account'")

    assert (row["state"], row["error_message"], row["avg_fill_price"]) == (state, "no such account", None)


def test_a_refused_order_is_shown_and_ends_with_1(oms: Oms) -> None:
    refused = oms("submit ADAUSDM buy limit 5 0.45 --order-id o-1 --json", code=1)

    assert json.loads(refused.stdout)["state"] == "rejected"
    assert (
        refused.stderr
        == "oms: Order rejected: ORDER_QUANTITY: 5 ADAUSDM is below the minimum of 10 (trading.min_quote_size)\n"
    )
    assert oms.json("orders")["orders"][0]["violations"] == [
        "ORDER_QUANTITY: 5 ADAUSDM is below the minimum of 10 (trading.min_quote_size)"
    ]


def test_a_command_id_carries_a_command_out_once(oms: Oms) -> None:
    first = oms.json("submit ADAUSDM buy limit 20 0.45 --command-id c-1")
    again = oms.json("submit ADAUSDM buy limit 20 0.45 --command-id c-1")
    other = oms("submit ADAUSDM buy limit 30 0.45 --command-id c-1", code=1)

    assert first == again
    assert "c-1" in other.stderr


def test_fills_can_be_corrected_and_taken_back(day: Oms) -> None:
    corrected = day.json("correct a-2 t-3 --price 0.51 --fee 0.1 --reason typo")
    busted = day.json("bust a-2 t-3 --reason 'erroneous trade'")

    assert (corrected["avg_fill_price"], corrected["fees"]) == ("0.51", "0.1")
    assert (busted["filled_quantity"], busted["avg_fill_price"]) == ("0", None)
    assert day.held()["ADA"] == "100"
    (changed,) = [row for row in day.json("fills")["fills"] if row["corrected"]]
    assert changed["busted"] is True


# --- quarantine ---


@pytest.mark.parametrize(("decision", "state", "held"), [("accept", "filled", "40"), ("reject", "working", "80")])
def test_a_fill_that_breaks_a_rule_waits_for_a_decision(day: Oms, decision: str, state: str, held: str) -> None:
    told = day("fill a-2 40 0.5 --trade-id t-6", code=1)
    (waiting,) = day.json("quarantine")["quarantine"]
    reminded = day("positions")
    assert day.held()["ADA"] == "80"

    row = day.json(f"quarantine {decision} {waiting['quarantine_id']} --reason checked")

    assert f"oms quarantine accept|reject {waiting['quarantine_id']}" in told.stderr
    assert "1 fill waits in quarantine (oms quarantine)" in reminded.stderr
    assert (waiting["order_id"], waiting["why"], waiting["quantity"]) == ("a-2", "overfill", "40")
    assert (row["state"], day.held()["ADA"]) == (state, held)
    assert day.json("quarantine")["quarantine"] == []


def test_a_fill_of_an_unknown_order_opens_it_when_accepted_with_symbol_and_side(oms: Oms) -> None:
    oms("fill ghost 10 5 --trade-id t-1", code=1)
    (waiting,) = oms.json("quarantine")["quarantine"]
    needed = oms(f"quarantine accept {waiting['quarantine_id']}", code=2)

    oms(f"quarantine accept {waiting['quarantine_id']} --symbol ADA --side buy")

    assert "symbol and side" in needed.stderr
    assert oms.held() == {"ADA": "10"}


def test_a_rejected_fill_of_an_unknown_order_leaves_no_order(oms: Oms) -> None:
    oms("fill ghost 10 5 --trade-id t-1", code=1)
    (waiting,) = oms.json("quarantine")["quarantine"]

    assert oms.json(f"quarantine reject {waiting['quarantine_id']}") is None


# --- marks, emergency stop, limits ---


def test_a_price_below_zero_stands_after_two_dashes(oms: Oms) -> None:
    refused = oms("mark SPREAD -5", code=2)
    oms("fill s-1 10 --symbol SPREAD --side buy -- -5.50")

    marked = json.loads(oms("mark SPREAD --json -- -5.10").stdout)

    assert "after --" in refused.stderr
    assert (marked["symbol"], marked["price"]) == ("SPREAD", "-5.1")
    assert oms.json("positions")["positions"][0]["unrealized_pnl"] == "4"


def test_the_emergency_stop_holds_until_it_is_released(oms: Oms) -> None:
    halted = oms.json("halt --reason 'feed is stale'")
    refused = oms("submit ADA buy market 20", code=1)
    resumed = oms.json("resume")

    assert (halted["account"], halted["level"], resumed["level"]) == ("*", "halted", "normal")
    assert "EMERGENCY_STOP" in refused.stderr
    assert oms.json("submit ADA buy market 20")["state"] == "pending"


def test_the_emergency_stop_of_one_account_leaves_others_alone(oms: Oms) -> None:
    oms("halt --level reduce_only --account alpha")

    assert oms.json("submit ADA buy market 20")["state"] == "pending"
    assert oms.json("limits --account alpha")["limits"][0]["level"] == "reduce_only"


def test_limits_are_those_that_commands_have_brought(day: Oms) -> None:
    day("limits set max_position_size=500 risk.max_daily_loss=null restricted=XYZ,ABC --account alpha --reason half")

    found = {row["account"]: row["values"] for row in day.json("limits")["limits"]}

    assert list(found) == ["*", "alpha"]
    assert [found["*"][f"risk.{key}"] for key in ("max_position_size", "max_daily_loss")] == ["10000", "1000"]
    assert [found["alpha"][f"risk.{key}"] for key in ("max_position_size", "max_daily_loss")] == ["500", None]
    assert found["alpha"]["risk.restricted"] == ["ABC", "XYZ"]
    assert found["alpha"]["trading.max_skew"] == "5000"


def test_an_account_named_before_set_is_the_one_whose_limits_change(day: Oms) -> None:
    changed = day.json("limits --account alpha set max_skew=7")

    assert (changed["account"], changed["values"]["trading.max_skew"]) == ("alpha", "7")
    assert day.json("limits --account default")["limits"][0]["values"]["trading.max_skew"] == "5000"


def test_a_log_without_rules_says_that_nothing_is_limited(oms: Oms, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"seq":1,"ts":"2024-03-15T13:30:00Z","kind":"mark","symbol":"A","price":"1"}\n')
    oms("import facts a.jsonl")

    shown = oms("limits")

    assert (shown.stdout, oms.json("limits")["limits"]) == ("", [])
    assert "nothing is limited" in shown.stderr


# --- questions ---


def test_positions_are_rows_with_their_basis(day: Oms) -> None:
    answer = day.json("positions")

    assert list(answer) == ["basis", "positions"]
    assert {key: answer["basis"][key] for key in ("seq", "as_of", "known_at", "method")} == {
        "seq": 17,
        "as_of": None,
        "known_at": None,
        "method": "fifo",
    }
    ada, btc = answer["positions"]
    assert {key: ada[key] for key in POSITION_KEYS} == {
        "account": "default",
        "symbol": "ADA",
        "quantity": "80",
        "avg_price": "0.445",
        "cost_basis": "35.6",
        "realized_pnl": "1.01",
        "gross_realized_pnl": "1",
        "fees": "-0.01",
        "mark_price": "0.48",
        "unrealized_pnl": "2.8",
    }
    assert (ada["mark_at"], ada["mark_age_ns"]) == ("2024-03-15T14:31:00.000000000Z", 0)
    assert {key: btc[key] for key in POSITION_KEYS} == {
        "account": "zeta",
        "symbol": "BTC",
        "quantity": "-20",
        "avg_price": "60000",
        "cost_basis": "-1200000",
        "realized_pnl": "0",
        "gross_realized_pnl": "0",
        "fees": "0",
        "mark_price": None,
        "unrealized_pnl": None,
    }


def test_a_flat_position_is_shown_without_an_average_price(day: Oms) -> None:
    day("submit BTC buy market 20 --order-id b-2 --account zeta")
    day("fill b-2 20 59000 --trade-id t-9")

    (flat,) = day.json("positions --symbol BTC")["positions"]

    assert [flat[key] for key in ("quantity", "avg_price", "cost_basis", "realized_pnl")] == ["0", None, "0", "20000"]


def test_positions_are_drawn_with_numbers_to_the_right_and_the_age_of_the_mark(day: Oms) -> None:
    shown = day("positions --as-of 2024-03-15T16:31:00Z")

    assert shown.stdout == (
        "account  symbol  quantity  avg price  cost basis  realized  before fees   fees  mark  age  unrealized\n"
        "default  ADA           80      0.445        35.6      1.01            1  -0.01  0.48   2h         2.8\n"
        "zeta     BTC          -20      60000    -1200000         0            0      0     -    -           -\n"
    )


def test_the_basis_is_said_beside_the_rows(day: Oms) -> None:
    assert day("positions").stderr == "2 positions now, up to seq 17, FIFO\n"
    assert day("positions --at-seq 6 --method lifo").stderr == "1 position up to seq 6 of 17, LIFO\n"
    assert day("orders --as-of 2024-03-15T13:30:00Z").stderr == (
        "1 order as of 2024-03-15T13:30:00Z, with everything known now, up to seq 17\n"
    )


@pytest.mark.parametrize(
    ("words", "held"),
    [
        ("", {"ADA": "80", "BTC": "-20"}),
        ("--account zeta", {"BTC": "-20"}),
        ("--symbol ADA", {"ADA": "80"}),
        ("--symbol ADA --account zeta", {}),
        ("--as-of 2024-03-15T13:00:01.999999999Z", {}),
        ("--as-of 2024-03-15T13:00:02Z", {"ADA": "60"}),
        ("--as-of 2024-03-15T14:00:03+01:00", {"ADA": "100"}),
        ("--at-seq 0", {}),
        ("--at-seq 5", {"ADA": "60"}),
        ("--as-of 2024-03-15T13:30:00Z --at-seq 5", {"ADA": "60"}),
        ("--known-at 2012-06-21T13:45:00Z", {}),
        ("--known-at 2200-01-01T00:00:00Z", {"ADA": "80", "BTC": "-20"}),
    ],
)
def test_positions_are_told_for_any_moment(day: Oms, words: str, held: dict[str, str]) -> None:
    assert day.held(f"positions {words}") == held


@pytest.mark.parametrize(("method", "realized"), [("fifo", "1.01"), ("lifo", "1.21"), ("average", "1.09")])
def test_the_reader_chooses_the_cost_method(day: Oms, method: str, realized: str) -> None:
    answer = day.json(f"positions --symbol ADA --method {method}")

    assert (answer["basis"]["method"], answer["positions"][0]["realized_pnl"]) == (method, realized)


@pytest.mark.parametrize("moment", ["--at-seq 900", "--as-of 2200-01-01T00:00:00Z", "--known-at 2200-01-01T00:00:00Z"])
@pytest.mark.parametrize("question", ["positions", "orders", "fills", "order a-1"])
def test_a_moment_past_the_end_of_the_log_is_told(day: Oms, question: str, moment: str) -> None:
    assert "is past the end of the log (seq 17, " in day(f"{question} {moment}").stderr
    assert day.json(f"{question} {moment}")["basis"]["past_end"] is True


def test_orders_are_rows_with_their_basis(day: Oms) -> None:
    answer = day.json("orders")

    assert list(answer) == ["basis", "orders"]
    assert answer["basis"]["seq"] == 17
    assert [list(row)[: len(ORDER_KEYS)] for row in answer["orders"]] == [ORDER_KEYS] * 3
    assert {key: answer["orders"][1][key] for key in ORDER_KEYS} == {
        "order_id": "a-2",
        "account": "default",
        "symbol": "ADA",
        "side": "sell",
        "order_type": "limit",
        "quantity": "50",
        "price": "0.5",
        "state": "working",
        "filled_quantity": "20",
        "remaining_quantity": "30",
        "open_quantity": "30",
        "avg_fill_price": "0.5",
        "fees": "0",
    }


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", ["a-1", "a-2", "b-1"]),
        ("--state filled", ["a-1", "b-1"]),
        ("--state WORKING", ["a-2"]),
        ("--open", ["a-2"]),
        ("--open --as-of 2024-03-15T13:00:02Z", ["a-1"]),
        ("--account zeta", ["b-1"]),
        ("--symbol ADA --state filled", ["a-1"]),
        ("--at-seq 3", ["a-1"]),
    ],
)
def test_orders_are_chosen_by_state_account_symbol_and_moment(day: Oms, words: str, found: list[str]) -> None:
    assert [row["order_id"] for row in day.json(f"orders {words}")["orders"]] == found


def test_the_history_of_an_order_is_told_event_by_event(day: Oms) -> None:
    answer = day.json("order V-1")

    assert answer["order"]["order_id"] == "a-1"
    assert [(event["seq"], event["event"], event["what"]) for event in answer["events"]] == [
        (2, "OrderSubmitted", "buy 100 ADA limit 0.45"),
        (3, "StateChanged", "idle -> pending"),
        (4, "StateChanged", "pending -> working, the venue's id is V-1"),
        (5, "FillAdded", "60 @ 0.45, trade t-1, fee 0.01"),
        (6, "FillAdded", "40 @ 0.44, trade t-2, fee -0.02"),
        (7, "StateChanged", "working -> filled"),
    ]
    assert answer["events"][3]["data"]["fill_quantity"] == "60"
    assert [fill["trade_id"] for fill in answer["fills"]] == ["t-1", "t-2"]


def test_the_history_ends_with_the_order_as_it_stood_at_the_moment(day: Oms) -> None:
    lines = day("order a-1 --at-seq 5").stdout.splitlines()

    assert [line.split()[0] for line in lines] == ["seq", "2", "3", "4", "5", "order", "a-1"]
    assert "working" in lines[-1]


def test_every_kind_of_event_is_told_in_words(day: Oms) -> None:
    for words, code in (
        ("amend a-2 --quantity 60", 0),
        ("amend a-2 --quantity 99999", 1),
        ("fill a-2 90 0.5 --trade-id t-6", 1),
        ("correct a-2 t-3 --quantity 15 --fee 0.1 --reason typo", 0),
        ("bust a-2 t-3 --reason oops", 0),
        ("cancel a-2", 0),
        ("fill a-2 5 0.5 --trade-id t-7", 0),
    ):
        day(words, code)
    (waiting,) = day.json("quarantine")["quarantine"]
    day(f"quarantine reject {waiting['quarantine_id']} --reason twice")

    told = [event["what"] for event in day.json("order a-2")["events"]][4:]

    assert told == [
        "now 60 @ 0.5",
        told[1],
        f"90 @ 0.5, trade t-6: overfill; quarantined as {waiting['quarantine_id']}",
        "trade t-3: 20 @ 0.5 -> 15 @ 0.5, fee 0 -> 0.1: typo",
        "trade t-3 busted: 15 @ 0.5: oops",
        "working -> cancelled: User requested",
        "5 @ 0.5, trade t-7, late",
        f"{waiting['quarantine_id']} rejected: twice",
    ]
    assert told[1].startswith("to 99999 refused: POSITION_SIZE: ")


def test_fills_are_listed_as_they_became_known(day: Oms) -> None:
    answer = day.json("fills")

    assert [(row["order_id"], row["trade_id"], row["quantity"]) for row in answer["fills"]] == [
        ("a-1", "t-1", "60"),
        ("a-1", "t-2", "40"),
        ("a-2", "t-3", "20"),
        ("b-1", "t-4", "20"),
    ]
    assert [row["trade_id"] for row in day.json("fills --symbol BTC")["fills"]] == ["t-4"]


def test_questions_write_nothing(day: Oms) -> None:
    before = day.log.read_bytes()

    for question in ("positions", "orders", "fills", "order a-1", "quarantine", "limits"):
        day(question)
        day.json(question)

    assert day.log.read_bytes() == before


# --- which log, which settings ---


def test_the_log_can_be_named_before_and_after_the_command(day: Oms, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "none.db")

    before = day(f"--log {day.log} positions", OMS_LOG=elsewhere)
    after = day(f"--log {elsewhere} positions --log {day.log}", OMS_LOG=elsewhere)

    assert before.stdout == after.stdout != ""


def test_the_log_of_the_settings_is_the_one_for_commands_and_questions(oms: Oms, tmp_path: Path) -> None:
    (tmp_path / "oms.yaml").write_text("log: {path: mine.db}\nrisk: {max_position_size: 30}\n")

    oms("submit ADA buy market 20", OMS_LOG="")
    refused = oms("submit ADA buy market 20", code=1, OMS_LOG="")

    assert (tmp_path / "mine.db").exists()
    assert "limit of 30" in refused.stderr
    assert len(json.loads(oms("orders --json", OMS_LOG="").stdout)["orders"]) == 2


def test_settings_can_be_named_for_one_command(oms: Oms, tmp_path: Path) -> None:
    (tmp_path / "strict.yaml").write_text("trading: {min_quote_size: 50}\n")

    assert "minimum of 50" in oms("submit ADA buy market 20 --config strict.yaml", code=1).stderr


def test_settings_that_are_none_are_named_with_their_key(oms: Oms, tmp_path: Path) -> None:
    (tmp_path / "oms.yaml").write_text("risk: {max_position: 30}\n")

    assert "oms.yaml: risk.max_position: unknown key" in oms("positions", code=1).stderr


# --- exit codes ---


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        # refused, or not there
        ("order nope", 1, "no order 'nope'"),
        ("order \udcff", 1, "no order '\\udcff'"),
        ("cancel nope", 1, "no order 'nope'"),
        ("cancel a-1", 1, "cannot go from filled to cancelled"),
        ("fail a-2", 1, "cannot go from working to failed"),
        ("bust a-1 t-9", 1, "booked: t-1, t-2"),
        ("quarantine accept q-1", 1, "no fill in quarantine has the id 'q-1'"),
        ("submit ADA buy limit 200 0.45 --order-id a-1", 1, "other content"),
        ("positions --log none.db", 1, "there is no log at none.db"),
        ("positions --config none.yaml", 1, "none.yaml: cannot be read"),
        # wrong usage
        ("nope", 2, "No such command 'nope'"),
        ("positions --nope", 2, "No such option"),
        ("submit ADA buy", 2, "Missing argument"),
        ("submit ADA buy limit 10", 2, "price: a limit order needs one"),
        ("submit ADA buy market 10 0.4", 2, "price: a market order has none"),
        ("submit ADA long market 10", 2, "side: 'long' is not one of buy, sell"),
        ("submit ADA buy stop 10", 2, "order_type: 'stop' is not one of limit, market"),
        ("submit ADA buy market 1e3", 2, "quantity: '1e3' is not plain decimal text"),
        ("submit ADA buy market 0", 2, "quantity: 0 is not above 0"),
        ("submit ADA buy market 0.0000000000000000001", 2, "decimals"),
        ("submit ADA buy market 10 --account 'my account'", 2, "account: 'my account'"),
        (
            "submit ADA buy market 10 --occurred-at 2024-03-15T13:00:00",
            2,
            "occurred_at: '2024-03-15T13:00:00' has no zone",
        ),
        ("amend a-2", 2, "pass a new quantity"),
        ("correct a-1 t-1", 2, "pass fill_quantity"),
        ("mark ADA nan", 2, "price: 'nan'"),
        ("halt --level normal", 2, "halted or reduce_only"),
        ("limits set", 2, "Missing argument"),
        ("limits set max_skew", 2, "KEY=VALUE"),
        ("limits set max_skew=1 trading.max_skew=2", 2, "named twice"),
        ("limits set account=alpha", 2, "'account' is not a limit"),
        ("limits set max_skew=-1", 2, "is negative"),
        ("limits set emergency_stop=true", 2, "halt and resume"),
        ("positions --method hifo", 2, "method: 'hifo' is not one of fifo, lifo, average"),
        ("positions --as-of 2024-03-15T13:00:00", 2, "--as-of: '2024-03-15T13:00:00' has no zone"),
        ("positions --known-at yesterday", 2, "--known-at: 'yesterday' is not a timestamp"),
        ("positions --at-seq -1", 2, "--at-seq: -1 is negative"),
        ("positions --at-seq x", 2, "--at-seq"),
        ("positions --at-seq 1 --known-at 2024-03-15T13:00:00Z", 2, "name the same moment in two ways"),
        ("positions --symbol ''", 2, "--symbol"),
        ("positions --account 'a b'", 2, "--account: 'a b' is not an account"),
        ("orders --state open", 2, "--state: 'open' is not one of"),
        ("import facts", 2, "Missing argument"),
        ("import lobster a.csv --symbol A", 2, "Missing option"),
        ("import lobster a.csv --symbol A --date 2012-13-01", 2, "--date"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(day: Oms, words: str, code: int, told: str) -> None:
    result = day(words, code)

    assert result.stdout == ""
    assert told in result.stderr
    assert result.stderr.splitlines()[-1].startswith("oms: ")


def test_an_id_in_two_accounts_asks_for_the_account(oms: Oms) -> None:
    oms("submit ADA buy market 20 --order-id o-1 --account alpha")
    oms("submit ADA buy market 20 --order-id o-1 --account beta")

    assert "(--account)" in oms("cancel o-1", code=1).stderr
    assert oms.json("cancel o-1 --account beta")["account"] == "beta"
    assert oms.json("order o-1 --account alpha")["order"]["state"] == "pending"


def test_a_bug_is_told_as_one_without_a_traceback(day: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("on purpose\x1b[2J")

    monkeypatch.setattr("oms_es.queries.queries.Queries.basis", broken)

    result = day("positions", code=1)

    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)
    assert "bug in oms: RuntimeError: on purpose\\u001b[2J" in result.stderr


def test_whoever_asks_for_it_is_shown_where_the_bug_is(day: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("oms_es.queries.queries.Queries.basis", broken)

    result = CliRunner().invoke(app, ["positions"], env={"OMS_LOG": str(day.log), "OMS_DEBUG": "1"})

    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "in broken" in result.stderr


def test_a_bug_while_a_command_is_carried_out_is_one_line_as_well(day: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("oms_es.log.sqlite.SqliteLog.append", broken)

    assert len(day("mark ADA 1", code=1).stderr.splitlines()) == 1


def test_an_interruption_ends_with_130(day: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oms_es.queries.queries.Queries.basis", interrupted)

    assert day("positions", code=130).output == ""
