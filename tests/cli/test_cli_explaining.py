"""Questions that explain: what days brought, how a position came about, what differs, and why."""

import shutil
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms_es.domain import risk_checks
from tests.cli.test_cli import Oms
from tests.cli.test_cli_output import HOSTILE, UNSAFE
from tests.golden_days import restore

HISTORY = Path(__file__).parents[2] / "oms_es/days/files/history.jsonl"
DAY_KEYS = ["trading_day", "account", "symbol", "realized_pnl", "gross_realized_pnl", "fees", "unrealized_pnl"]
POSITION_FIGURES = {"quantity", "cost_basis", "realized_pnl", "gross_realized_pnl", "fees", "unrealized_pnl"}


@pytest.fixture(scope="module")
def demo_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the log of the history that is shipped with the demo."""
    log = tmp_path_factory.mktemp("demo") / "demo.db"
    Oms(log)(["import", "facts", str(HISTORY), "--log", str(log)])
    return log


@pytest.fixture
def demo(demo_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    monkeypatch.chdir(tmp_path)
    return Oms(Path(shutil.copy(demo_log, tmp_path / "day.db")))


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    monkeypatch.chdir(tmp_path)
    return Oms(tmp_path / "day.db")


@pytest.fixture
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    """Return the golden day on which everything goes wrong: late fills, busts, corrections, refusals."""
    monkeypatch.chdir(tmp_path)
    restore("awkward_day", tmp_path / "day.db").close()
    return Oms(tmp_path / "day.db")


def losing(oms: Oms) -> Oms:
    """Lose 60 of the 100 that may be lost: 20 bought at 10, sold at 7."""
    oms("limits set max_daily_loss=100")
    for side, price in (("buy", 10), ("sell", 7)):
        oms(f"submit ADA {side} limit 20 {price} --order-id {side}")
        oms(f"fill {side} 20 {price} --trade-id t-{side}")
    return oms


# --- pnl and daily ---


def test_pnl_is_a_row_for_a_day_an_account_and_a_symbol(demo: Oms) -> None:
    answer = demo.json("pnl")

    assert list(answer) == ["basis", "days"]
    assert [{key: row[key] for key in DAY_KEYS} for row in answer["days"]] == [
        dict(zip(DAY_KEYS, ("2024-03-15", "default", "ACME", "42.45", "43.9", "1.45", "1.1"), strict=True)),
        dict(zip(DAY_KEYS, ("2024-03-15", "default", "BOLT", "29.46", "29.45", "-0.01", "0.3"), strict=True)),
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("--by account", [("default", None, "71.91", "1.4")]),
        ("--by symbol", [(None, "ACME", "42.45", "1.1"), (None, "BOLT", "29.46", "0.3")]),
        ("--by symbol --symbol ACME", [(None, "ACME", "42.45", "1.1")]),
        ("--account nobody --allow-empty", []),
        ("--day 2024-03-15 --symbol BOLT", [("default", "BOLT", "29.46", "0.3")]),
        ("--day 2024-03-16 --allow-empty", []),
        ("--symbol BOLT --at-seq 46", [("default", "BOLT", "16.32", "15")]),
        ("--symbol BOLT --as-of 2024-03-15T14:05:00Z", [("default", "BOLT", "19.45", "11.4")]),
    ],
)
def test_pnl_is_chosen_and_added_up(demo: Oms, words: str, found: list[tuple[Any, ...]]) -> None:
    rows = demo.json(f"pnl {words}")["days"]

    assert [(row["account"], row["symbol"], row["realized_pnl"], row["unrealized_pnl"]) for row in rows] == found


@pytest.mark.parametrize("method", ["fifo", "lifo", "average"])
def test_what_the_days_brought_adds_up_to_the_positions(golden: Oms, method: str) -> None:
    days = golden.json(f"pnl --method {method}")["days"]
    held = golden.json(f"positions --method {method}")["positions"]

    for key in ("realized_pnl", "gross_realized_pnl", "fees"):
        assert sum(Decimal(row[key]) for row in days) == sum(Decimal(row[key]) for row in held)


def test_pnl_is_drawn_as_a_table(demo: Oms) -> None:
    shown = demo("pnl --symbol ACME")

    assert shown.stdout == (
        "day         symbol  realized  before fees  fees  unrealized  change  total  fills\n"
        "2024-03-15  ACME       42.45         43.9  1.45         1.1     1.1  43.55      6\n"
    )
    assert shown.stderr.startswith("1 row now, up to seq 68, FIFO\n")


def test_a_day_says_how_much_of_its_loss_limit_is_used(oms: Oms) -> None:
    (row,) = losing(oms).json("daily")["days"]

    assert (row["account"], row["currency"], row["realized_pnl"], row["fees"]) == ("default", "USD", "-60", "0")
    assert (row["loss"], row["max_daily_loss"], row["left"], row["used"]) == ("60", "100", "40", "0.6")
    assert oms("daily").stdout.splitlines()[1].split()[-3:] == ["60", "100", "60%"]


def test_what_differs_is_counted_in_words(oms: Oms) -> None:
    losing(oms)
    last = last_seq(oms)
    oms("submit ADA sell limit 20 7 --order-id late")

    assert oms(f"diff seq:{last} now --by order").stderr.startswith("1 order differs\n")
    assert oms("diff seq:0 now --by order").stderr.splitlines()[0].endswith("orders differ")
    assert oms("diff now now --by order").stderr.startswith("nothing differs\n")


def test_the_limit_of_a_day_is_the_last_that_was_set_on_it(oms: Oms) -> None:
    losing(oms)("limits set max_daily_loss=80")

    (row,) = oms.json("daily")["days"]
    (before,) = oms.json(f"daily --at-seq {last_seq(oms) - 1}")["days"]

    assert (row["max_daily_loss"], before["max_daily_loss"]) == ("80", "100")


def last_seq(oms: Oms) -> int:
    """Return the seq of the log's last event."""
    seq: int = oms.json("positions")["basis"]["log_seq"]
    return seq


def test_the_loss_that_counts_is_the_one_of_the_policy(oms: Oms) -> None:
    oms("limits set max_daily_loss=100")
    oms("submit ADA buy limit 20 10 --order-id o-1")
    oms("fill o-1 20 10 --trade-id t-1")
    oms("mark ADA 8")
    realized = oms.json("daily")["days"][0]["loss"]

    (oms.log.parent / "oms.yaml").write_text("daily_loss: {basis: total}\n")
    oms("mark ADA 7")

    assert (realized, oms.json("daily")["days"][0]["loss"]) == ("0", "60")


def test_a_past_day_shows_the_limit_that_stood_then(demo: Oms) -> None:
    (before,) = demo.json("daily")["days"]
    losing(demo)

    days = {row["trading_day"]: row["max_daily_loss"] for row in demo.json("daily")["days"]}

    assert before["max_daily_loss"] is None
    assert days.pop("2024-03-15") is None
    assert list(days.values()) == ["100"]


# --- history ---


def test_a_history_is_every_change_with_the_fill_behind_it(demo: Oms) -> None:
    rows = demo.json("history BOLT")["changes"]

    assert [row["seq"] for row in rows] == [12, 15, 27, 44, 47, 52, 57, 62]
    assert (rows[-1]["quantity"], rows[-1]["total_realized_pnl"]) == ("-30", "29.46")
    assert sum(Decimal(row["realized_pnl"]) for row in rows) == Decimal("29.46")
    assert sum(Decimal(row["change"]) for row in rows) == -30


def test_between_looks_at_when_a_change_was_true(demo: Oms) -> None:
    between = "--between 2024-03-15T14:04:59.993Z 2024-03-15T14:10:00.013Z"

    assert [row["seq"] for row in demo.json(f"history BOLT {between}")["changes"]] == [47, 52]
    assert [row["seq"] for row in demo.json(f"history BOLT {between} --at-seq 50")["changes"]] == [47]


def test_busts_and_corrections_are_changes_of_their_own_unless_the_truth_is_asked_for(golden: Oms) -> None:
    recorded = golden.json("history ALFA")["changes"]
    true = golden.json("history ALFA --as-of 2024-03-05T23:00:00Z")["changes"]

    assert {row["event"] for row in recorded} == {"FillAdded", "FillBusted", "FillCorrected"}
    assert {row["event"] for row in true} == {"FillAdded"}
    assert true == sorted(true, key=lambda row: row["occurred_at"])
    assert true[-1]["quantity"] == recorded[-1]["quantity"] == golden.held()["ALFA"]


# --- diff ---


def test_a_diff_holds_what_differs_and_by_how_much(demo: Oms) -> None:
    answer = demo.json("diff seq:46 seq:47")

    assert list(answer) == ["from", "to", "positions", "days"]
    assert (answer["from"]["seq"], answer["to"]["seq"]) == (46, 47)
    (row,) = answer["positions"]
    assert row["quantity"] == {"from": "-75", "to": "-60", "change": "15"}
    assert [day["realized_pnl"]["change"] for day in answer["days"]] == ["3.13"]


def test_a_diff_by_order_tells_states_and_quantities(demo: Oms) -> None:
    answer = demo.json("diff seq:46 now --by order --symbol ACME")

    rows = {row["order_id"]: row for row in answer["orders"]}
    assert list(rows) == ["a-3", "a-5"]
    assert rows["a-3"]["quantity"] == {"from": "200", "to": "80", "change": "-120"}
    assert rows["a-5"]["state"] == {"from": None, "to": "cancelled", "change": None}


def test_an_instant_is_what_was_true_and_with_known_what_the_log_held(demo: Oms) -> None:
    true = demo.json("diff 2024-03-15T14:05:00Z now --symbol BOLT")
    held = demo.json("diff 2024-03-15T14:05:00Z now --known --symbol BOLT")

    assert true["from"]["as_of"] == "2024-03-15T14:05:00.000000000Z"
    assert true["positions"][0]["quantity"]["from"] == "-60"
    assert held["from"]["known_at"] == "2024-03-15T14:05:00.000000000Z"
    assert held["positions"][0]["quantity"] == {"from": None, "to": "-30", "change": "-30"}


def test_a_restatement_is_one_moment_in_two_states_of_knowledge(demo: Oms) -> None:
    answer = demo.json("diff seq:46 now --as-of 2024-03-15T14:05:00Z")

    (row,) = answer["positions"]
    assert row["quantity"] == {"from": "-75", "to": "-60", "change": "15"}
    assert set(row) == {"account", "symbol", "currency", *POSITION_FIGURES}
    assert "--known" in demo("diff 2024-03-15T14:05:00Z now --as-of 2024-03-15T14:05:00Z", code=2).stderr


def test_a_point_differs_from_itself_in_nothing(demo: Oms) -> None:
    shown = demo("diff seq:46 seq:46")

    assert shown.stdout == ""
    assert shown.stderr == "nothing differs\nfrom: up to seq 46 of 68, FIFO\nto: up to seq 46 of 68, FIFO\n"


def test_the_figures_of_a_diff_stand_in_lines(demo: Oms) -> None:
    lines = demo("diff seq:46 seq:47 --method average").stdout.splitlines()

    assert lines[0].split() == ["day", "symbol", "figure", "from", "to", "change"]
    assert lines[1].split() == ["BOLT", "quantity", "-75", "-60", "15"]
    assert lines[-1].split()[:3] == ["2024-03-15", "BOLT", "unrealized_pnl"]


# --- why position ---


@pytest.mark.parametrize("method", ["fifo", "lifo", "average"])
@pytest.mark.parametrize("moment", ["", "--as-of 2024-03-05T09:30:00Z", "--at-seq 30"])
def test_the_parts_of_a_position_add_up_to_it(golden: Oms, method: str, moment: str) -> None:
    (why,) = golden.json(f"why position ALFA --method {method} {moment}")["positions"]
    (held,) = golden.json(f"positions --symbol ALFA --method {method} {moment}")["positions"]

    def total(rows: str, key: str) -> Decimal:
        return sum((Decimal(row[key]) for row in why[rows]), Decimal(0))

    assert why["adds_up"] is True
    assert total("lots", "quantity") == Decimal(held["quantity"]) == Decimal(why["quantity"])
    assert total("lots", "cost") == Decimal(held["cost_basis"])
    assert total("matches", "realized_pnl") - total("fees_paid", "fee") == Decimal(held["realized_pnl"])


def test_lots_and_matches_name_the_fills_they_came_from(demo: Oms) -> None:
    (why,) = demo.json("why position BOLT --at-seq 44")["positions"]

    assert [(lot["seq"], lot["order_id"], lot["trade_id"], lot["quantity"]) for lot in why["lots"]] == [
        (15, "b-1", "b-1-t2", "-75")
    ]
    assert [(m["opened_by_seq"], m["closed_by_seq"], m["quantity"], m["realized_pnl"]) for m in why["matches"]] == [
        (12, 27, "-100", "11"),
        (12, 44, "-20", "4.2"),
        (15, 44, "-5", "1.05"),
    ]


def test_the_sums_stand_under_the_parts(demo: Oms) -> None:
    shown = demo("why position BOLT --at-seq 44").stdout

    assert shown.startswith("default/BOLT: -75 held, cost -930.75 USD\n")
    assert [line.split() for line in shown.splitlines() if " in all " in line] == [
        ["in", "all", "-75", "-930.75"],
        ["in", "all", "16.25"],
        ["in", "all", "-0.07"],
    ]
    assert shown.endswith("realized 16.25 before fees - fees -0.07 = 16.32\n\n")


def test_parts_that_do_not_add_up_are_told_loudly(demo: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_es.queries.explain._lot_row", lambda *_: {"quantity": Decimal(1), "cost": Decimal(1)})

    assert demo.json("why position BOLT", code=1)["positions"][0]["adds_up"] is False


def test_a_symbol_that_nobody_held_has_nothing_to_explain(demo: Oms) -> None:
    assert demo.json("why position NOPE", code=1)["positions"] == []
    assert demo("why position NOPE --allow-empty").stderr.startswith("0 positions in NOPE")


# --- why order ---


def judged(oms: Oms) -> Oms:
    oms("limits set max_position_size=100 --reason 'half a day'")
    oms("submit ADA buy limit 60 10 --order-id o-1")
    oms("amend o-1 --quantity 200", code=1)
    oms("submit ADA buy limit 50 10 --order-id o-2", code=1)
    return oms


def test_an_order_is_explained_check_by_check(oms: Oms) -> None:
    answer = judged(oms).json("why order o-2")

    (verdict,) = answer["verdicts"]
    checks = {check["code"]: check for check in verdict["checks"]}
    assert list(checks) == [rule.code for rule in risk_checks.CHECKS]
    assert checks["POSITION_SIZE"]["holds"] is False
    assert checks["POSITION_SIZE"]["limits"] == {"risk.max_position_size": "100"}
    assert checks["POSITION_SIZE"]["inputs"] == {"position": "0", "open_buys": "60", "open_sells": "0"}
    assert verdict["recorded"] == verdict["recomputed"] == [checks["POSITION_SIZE"]["text"]]
    assert (verdict["agrees"], verdict["limits_seq"]) == (True, 2)


def test_every_judgement_of_an_order_is_shown(oms: Oms) -> None:
    shown = judged(oms)("why order o-1")

    lines = shown.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("POSITION_SIZE ")] == ["yes", "NO"]
    assert "recorded: accepted" in lines
    assert "recorded: POSITION_SIZE: 200 ADA would exceed the limit of 100 (risk.max_position_size)" in lines
    assert shown.stderr.count("the checks give the same result now") == 2


def test_a_judgement_that_comes_out_differently_is_told_loudly(oms: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(oms)
    monkeypatch.setattr("oms_es.domain.risk_checks.violations", lambda *_: ())

    assert oms.json("why order o-2", code=1)["verdicts"][0]["agrees"] is False
    told = oms("why order o-2", code=1).stderr
    assert "THE CHECKS GIVE ANOTHER RESULT NOW" in told
    assert "now:      accepted" in told


def test_what_was_imported_was_never_judged(demo: Oms) -> None:
    assert demo.json("why order b-3")["verdicts"] == []
    assert "never judged" in demo("why order b-3").stderr


# --- methods side by side ---


def test_the_methods_stand_side_by_side(oms: Oms) -> None:
    for n, (side, quantity, price) in enumerate([("buy", 20, 10), ("buy", 20, 20), ("sell", 30, 30)]):
        oms(f"submit ADA {side} limit {quantity} {price} --order-id o-{n}")
        oms(f"fill o-{n} {quantity} {price} --trade-id t-{n}")

    answer = oms.json("positions --method all")

    assert list(answer) == ["basis", "methods"]
    assert answer["basis"]["method"] == "all"
    assert {name: rows[0]["realized_pnl"] for name, rows in answer["methods"].items()} == {
        "fifo": "500",
        "lifo": "400",
        "average": "450",
    }
    assert {name: rows for name, rows in answer["methods"].items() if name != "all"} == {
        name: oms.json(f"positions --method {name}")["positions"] for name in ("fifo", "lifo", "average")
    }
    assert [line.split()[1] for line in oms("positions --method all").stdout.splitlines()[1:]] == [
        "fifo",
        "lifo",
        "average",
    ]


# --- instruments ---


def test_an_instrument_says_what_one_unit_stands_for(oms: Oms) -> None:
    defined = oms.json("instrument CLZ4 --multiplier 1000 --currency EUR")
    oms("submit CLZ4 buy limit 10 70 --order-id o-1")
    oms("fill o-1 10 70 --trade-id t-1")

    assert (defined["symbol"], defined["multiplier"], defined["currency"]) == ("CLZ4", "1000", "EUR")
    (held,) = oms.json("positions")["positions"]
    assert (held["cost_basis"], held["currency"]) == ("700000", "EUR")
    assert "is held in default" in oms("instrument CLZ4 --multiplier 10", code=1).stderr


def test_what_is_not_said_of_an_instrument_stays(oms: Oms) -> None:
    oms("instrument CLZ4 --multiplier 1000 --currency EUR")
    changed = oms.json("instrument CLZ4 --multiplier 500")
    before = oms.log.read_bytes()
    asked = oms.json("instrument CLZ4")

    assert (changed["multiplier"], changed["currency"]) == ("500", "EUR")
    assert asked == changed
    assert oms.json("instrument NEW")["multiplier"] == "1"
    assert oms.log.read_bytes() == before


# --- bisect ---


def test_bisect_finds_the_first_event_after_which_a_claim_is_false(demo: Oms) -> None:
    answer = demo.json("bisect 'abs(position(\"BOLT\")) <= 190'", code=1)

    assert (answer["holds"], answer["turn"]["seq"], answer["turn"]["from_the_start"]) == (False, 15, False)
    assert answer["turn"]["event"]["data"]["trade_id"] == "b-1-t2"
    before, after = (answer["turn"][name]["positions"][0] for name in ("before", "after"))
    assert (before["quantity"], after["quantity"]) == ("-120", "-200")
    assert before["mark_at"].endswith("Z")
    assert [event["seq"] for event in answer["turn"]["history"]] == [9, 10, 11, 12, 15]


def test_a_claim_that_holds_is_fine(demo: Oms) -> None:
    assert demo.json("bisect 'abs(position(\"BOLT\")) <= 200'")["turn"] is None
    assert demo("bisect 'quarantined() == 0' --between seq:1 seq:52").stderr.startswith(
        "the claim is true after every event\n"
    )
    assert demo.json("bisect 'quarantined() == 0' --between seq:60 now", code=1)["turn"]["from_the_start"] is True


def test_the_turn_is_shown_with_what_was_before_and_after(demo: Oms) -> None:
    shown = demo("bisect 'abs(position(\"BOLT\")) <= 190'", code=1)

    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["default/BOLT:", "quantity", "-120", "-200"] in rows
    assert "false for the first time after seq 15" in shown.stderr


def test_a_claim_that_cannot_be_read_has_a_caret_under_it(demo: Oms) -> None:
    *_, claim, caret = demo(["bisect", "position('BOLT') < huge"], code=2).stderr.splitlines()

    assert claim[caret.index("^") :] == "huge"


# --- all of them ---

QUESTIONS = (
    "pnl",
    "daily",
    "history BOLT",
    "diff seq:46 now",
    "diff seq:46 now --by order",
    "why position BOLT",
    "why order b-3",
    "positions --method all",
    "instrument BOLT",
    "replay",
    "replay --check",
    "tail --no-follow",
    "bisect 'true'",
)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_name_deceives_a_terminal_or_a_program(oms: Oms, name: str) -> None:
    oms(["submit", name, "buy", "market", "20", "--order-id", name, "--reduce-only"], code=1)
    oms(["submit", name, "buy", "market", "20", "--order-id", f"{name}2"])
    oms(["fill", f"{name}2", "10", "5", "--trade-id", name, "--fee", "1"])
    oms(["halt", "--reason", name])
    told = [
        ["history", name], ["diff", "seq:0", "now"], ["diff", "seq:0", "now", "--by", "order"], ["pnl"],
        ["why", "position", name], ["why", "order", name], ["positions", "--method", "all"], ["instrument", name],
        ["tail", "--no-follow"], ["replay", "--check"], ["replay", "--speed", "max"],
    ]  # fmt: skip

    outputs = [oms([*words, *form]).output for words in told for form in ([], ["--json"])]
    outputs += [oms(["bisect", f"position('{name}') < 1"], code=code).output for code in bisected(name)]

    for output in outputs:
        assert not {c for c in output if unicodedata.category(c) in UNSAFE and c != "\n"}


def bisected(name: str) -> list[int]:
    return [2] if "'" in name else [1]


def test_no_explanation_writes_to_the_log(demo: Oms) -> None:
    before = demo.log.read_bytes()

    for question in QUESTIONS:
        demo(question)
        demo(f"{question} --json")

    assert demo.log.read_bytes() == before


@pytest.mark.parametrize("question", ["pnl", "daily", "history BOLT", "why position BOLT"])
@pytest.mark.parametrize("moment", ["--at-seq 900", "--as-of 2200-01-01T00:00:00Z", "--known-at 2200-01-01T00:00:00Z"])
def test_a_moment_past_the_end_of_the_log_is_told(demo: Oms, question: str, moment: str) -> None:
    assert "is past the end of the log (seq 68, " in demo(f"{question} {moment}").stderr
    assert demo.json(f"{question} {moment}")["basis"]["past_end"] is True


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("pnl --day 2024-3-15", 2, "--day: '2024-3-15' is not a day"),
        ("pnl --day 2024-02-30", 2, "--day: '2024-02-30' is not a day"),
        ("pnl --by order", 2, "--by"),
        ("daily --method all", 2, "method: 'all' is not one of fifo, lifo, average"),
        ("history", 2, "Missing argument"),
        ("history BOLT --between 2024-03-15T14:00:00Z", 2, "--between"),
        ("history BOLT --between 2024-03-15T14:00:00 2024-03-15T15:00:00Z", 2, "has no zone"),
        ("history BOLT --between 2024-03-15T14:00:00Z 2024-03-15T13:00:00Z", 2, "is later than"),
        ("diff seq:46", 2, "Missing argument"),
        ("diff seq:x now", 2, "'seq:x' is not an event"),
        ("diff yesterday now", 2, "a point is seq:N, now, or an instant"),
        ("why order nope", 1, "no order 'nope'"),
        ("why position ''", 2, "--symbol"),
        ("why lot", 2, "No such command 'lot'"),
        ("instrument BOLT --multiplier 0", 2, "multiplier: 0 is not above 0"),
        ("instrument BOLT --multiplier 5", 1, "is held in default"),
        ("bisect 'position(\"BOLT\")'", 2, "not true or false"),
        ("bisect true --between seq:60 seq:50", 2, "before it begins"),
        ("pnl --log none.db", 1, "there is no log at none.db"),
        ("replay --speed 0", 2, "--speed: 0 is not above 0; expected a number above 0, or max"),
        ("replay --speed fast", 2, "--speed: 'fast'"),
        ("tail --after -1", 2, "--after: -1 is negative"),
    ],
)
def test_what_is_wrong_is_told_with_its_exit_code(demo: Oms, words: str, code: int, told: str) -> None:
    result = demo(words, code)

    assert result.stdout == ""
    assert told in result.stderr
    assert "oms: " in result.stderr


def test_the_age_of_what_waits_is_counted_to_the_end_of_the_log(demo: Oms) -> None:
    (row,) = demo.json("quarantine")["quarantine"]

    assert row["age_ns"] == 1_199_986_000_000  # from 14:10:00.014 to 14:30:00
    assert "waiting for 19m" in demo("quarantine").stderr
