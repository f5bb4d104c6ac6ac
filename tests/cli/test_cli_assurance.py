"""An answer certifies nothing about what the log does not contain: it says so, and its exit code is 1."""

import shutil
from pathlib import Path

import pytest

from oms_es.log.sqlite import SqliteLog
from tests.cli.test_cli import Oms
from tests.desk import facts_file, filled, submitted


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log in which alpha bought ADA (seq 2 to 5), and then zeta ordered BTC (seq 6 and 7)."""
    oms = Oms(tmp_path_factory.mktemp("day") / "day.db")
    oms("submit ADA buy limit 100 0.45 --order-id a-1 --account alpha")
    oms("ack a-1 --external-id V-1")
    oms("fill a-1 60 0.45 --trade-id t-1")
    oms("submit BTC sell limit 20 60000 --order-id b-1 --account zeta")
    return oms.log


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    monkeypatch.chdir(tmp_path)
    return Oms(tmp_path / "day.db")


@pytest.fixture
def day(oms: Oms, recorded: Path) -> Oms:
    shutil.copy(recorded, oms.log)
    return oms


@pytest.fixture
def history(oms: Oms, tmp_path: Path) -> Oms:
    """Return a log of imported history: an order of 100 X and its fill on 2012-06-21."""
    oms(["import", "facts", str(facts_file(tmp_path / "facts.jsonl", submitted(1), filled(2)))])
    return oms


@pytest.fixture
def empty(oms: Oms) -> Oms:
    """Return a log that was begun and has no event."""
    log = SqliteLog(oms.log)
    log.append([], 0)
    log.close()
    return oms


# --- bisect ---


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ('position("ADDA") <= 1000', "no symbol 'ADDA' up to seq 7 (did you mean 'ADA'?)"),
        ('position("ada") <= 1000', "no symbol 'ada' up to seq 7 (did you mean 'ADA'?)"),
        ('position("ADA", "alhpa") <= 1000', "no account 'alhpa' up to seq 7 (did you mean 'alpha'?)"),
        ('not mark("XRP") > 1', "no symbol 'XRP' up to seq 7 (did you mean 'ADA', 'BTC'?)"),
        ('not state("a-2") == "filled"', "no order 'a-2' up to seq 7 (did you mean 'a-1'?)"),
        ('not filled("a-1", "zeta") > 1', "no order 'a-1' of account 'zeta' up to seq 7 (did you mean 'b-1'?)"),
        ('open_orders("beta") <= 1', "no account 'beta' up to seq 7 (did you mean 'zeta'?)"),
        ('daily_pnl("beta") >= 0', "no account 'beta'"),
        ('daily_pnl("alpha", "EUR") >= 0', "no currency 'EUR' up to seq 7 (did you mean 'USD'?)"),
        ('realized_pnl("ADA") >= 0 or unrealized_pnl("NOPE") >= 0', "no symbol 'NOPE'"),
    ],
)
def test_a_claim_about_an_unknown_name_certifies_nothing(day: Oms, claim: str, said: str) -> None:
    refused = day(["bisect", claim], code=1)

    assert said in refused.stderr
    assert "nothing is certified" in refused.stderr
    assert "is true after every event" not in refused.stderr
    answer = day.json(f"bisect '{claim}'", code=1)
    assert (answer["holds"], answer["turn"]) == (None, None)
    assert [f"no {each['kind']} '{each['name']}'" for each in answer["unknown"]] == [" ".join(said.split()[:3])]


def test_a_script_may_ask_about_names_that_are_still_to_come(day: Oms) -> None:
    allowed = day(["bisect", 'position("XRP") <= 1000', "--allow-empty"])

    assert "no symbol 'XRP'" in allowed.stderr
    assert "the claim is true after every event" in allowed.stderr
    assert day.json("bisect 'position(\"XRP\") <= 1000' --allow-empty")["holds"] is True
    assert "false from the start" in day(["bisect", 'position("XRP") > 1', "--allow-empty"], code=1).stderr


def test_a_name_that_comes_only_after_the_range_is_unknown_in_it(day: Oms) -> None:
    assert "no symbol 'BTC' up to seq 5" in day("bisect 'position(\"BTC\") == 0' --between seq:1 seq:5", code=1).stderr
    assert "no order 'b-1'" in day("bisect 'not filled(\"b-1\") > 0' --between seq:1 seq:5", code=1).stderr
    assert day.json("bisect 'position(\"BTC\") == 0'")["unknown"] == []


def test_a_claim_that_is_false_still_says_which_name_is_unknown(day: Oms) -> None:
    found = day(["bisect", 'state("nope") == "filled"'], code=1)

    assert "no order 'nope'" in found.stderr
    assert "false from the start" in found.stderr


@pytest.mark.parametrize(
    "claim",
    [
        'position("BTC", "alpha") == 0',  # both occur, if not together
        'not state("V-1") == "filled"',  # the venue's id
        'not filled("a-1", "alpha") > 60',
        'daily_pnl("zeta", "USD") == 0',
    ],
)
def test_a_claim_about_known_names_is_certified(day: Oms, claim: str) -> None:
    assert day.json(f"bisect '{claim}'")["holds"] is True


def test_a_limit_of_an_account_makes_its_name_known(day: Oms) -> None:
    day("limits set max_position_size=5 --account beta")

    assert day.json("bisect 'open_orders(\"beta\") == 0'")["holds"] is True


def test_a_claim_certifies_nothing_where_there_is_no_event(empty: Oms) -> None:
    for words in ("bisect true", "bisect 'open_orders() <= 10'"):
        assert "there is no event to check" in empty(words, code=1).stderr
        answer = empty.json(words, code=1)
        assert (answer["holds"], answer["events"]) == (None, 0)
        assert "is true after every event" in empty(f"{words} --allow-empty").stderr


def test_a_claim_certifies_nothing_past_the_end_of_the_log(day: Oms) -> None:
    past = day("bisect true --between seq:8 seq:20", code=1)

    assert "--between goes past the end of the log (seq 7)" in past.stderr
    assert "there is no event to check" in past.stderr
    assert day.json("bisect true --between seq:8 now", code=1)["basis"]["past_end"] is True
    assert "goes past the end" in day("bisect true --between seq:1 seq:20").stderr
    assert day("bisect true --between 1999-01-01T00:00:00Z 1999-01-02T00:00:00Z", code=1).stdout == ""


def test_a_claim_about_a_box_knows_the_names_in_its_opening_state(history: Oms) -> None:
    more = facts_file(
        history.log.with_name("more.jsonl"), filled(3, "b", ts="2012-06-22T13:30:00Z", symbol="Y", side="buy")
    )
    history(["import", "facts", str(more)])
    history("export --day 2012-06-22 -o day.omsday")

    assert history.json("bisect 'position(\"X\") == 100' day.omsday")["holds"] is True
    assert "no symbol 'Z'" in history("bisect 'position(\"Z\") == 0' day.omsday", code=1).stderr
    assert "no event to check" in history("bisect true day.omsday --between seq:89 now", code=1).stderr


# --- filters ---

FILTERED = [
    ("positions", "positions", "symbol account"),
    ("positions --method all", "methods", "symbol account"),
    ("orders", "orders", "symbol account"),
    ("fills", "fills", "symbol account"),
    ("pnl", "days", "symbol account day"),
    ("pnl --method all", "methods", "symbol account day"),
    ("pnl --by symbol", "days", "symbol account day"),
    ("daily", "days", "account day"),
    ("history ADA", "changes", "account"),
    ("why position ADA", "positions", "account"),
    ("diff seq:2 now", "positions", "symbol account"),
    ("diff seq:2 now --by order", "orders", "symbol account"),
]
TYPED = {"symbol": "ADAA", "account": "alhpa", "day": "1999-12-31"}
SAID = {
    "symbol": "no symbol 'ADAA' in this log (did you mean 'ADA'?)",
    "account": "no account 'alhpa' in this log (did you mean 'alpha'?)",
    "day": "no event is booked on '1999-12-31' (",
}
CASES = [(words, key, kind) for words, key, kinds in FILTERED for kind in kinds.split()]


@pytest.mark.parametrize(("words", "key", "kind"), CASES)
def test_a_mistyped_name_in_a_filter_ends_with_exit_code_1(day: Oms, words: str, key: str, kind: str) -> None:
    mistyped = f"{words} --{kind} {TYPED[kind]}"

    refused = day(mistyped, code=1)

    assert refused.stdout == ""
    assert SAID[kind] in refused.stderr
    rows = day.json(mistyped, code=1)[key]
    assert not any(rows.values()) if isinstance(rows, dict) else rows == []
    assert SAID[kind] in day(f"{mistyped} --allow-empty").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("history ADAA", "no symbol 'ADAA' in this log (did you mean 'ADA'?)"),
        ("why position ADAA", "no symbol 'ADAA'"),
        ("export --symbol ADAA", "no symbol 'ADAA'"),
        ("export --account alhpa --what fills", "no account 'alhpa'"),
        ("export --order a-2", "no order 'a-2' in this log (did you mean 'a-1'?)"),
        ("export --day 1999-12-31 --what orders", "no event is booked on '1999-12-31'"),
        ("replay --account alhpa", "no account 'alhpa'"),
        ("replay --day 1999-12-31", "nothing is booked on 1999-12-31"),
        ("limits --account alhpa", "no account 'alhpa'"),
    ],
)
def test_another_name_that_does_not_occur_ends_with_exit_code_1(day: Oms, words: str, said: str) -> None:
    assert said in day(words, code=1).stderr
    assert said in day(f"{words} --allow-empty").stderr


@pytest.mark.parametrize(
    "words",
    [
        "positions --symbol BTC",  # ordered, never traded
        "positions --account zeta",
        "positions --symbol ADA --account zeta",
        "orders --symbol BTC --at-seq 4",  # ordered later
        "orders --state filled",
        "fills --symbol BTC",
        "pnl --symbol BTC",
        "history BTC",
        "why position BTC",
        "diff seq:1 seq:2 --symbol BTC",
        "daily --account zeta",
        "export --order b-1 --what fills",
        "export --order V-1 --what fills",
        "limits --account zeta",
        "instrument BTC",
    ],
)
def test_a_known_name_without_rows_is_fine(day: Oms, words: str) -> None:
    day(words)


def test_an_instrument_that_is_assumed_is_reported_as_unknown(day: Oms) -> None:
    assert "no symbol 'ADAA' in this log" in day("instrument ADAA").stderr
    assert "no symbol" not in day("instrument ADA").stderr


def test_a_mark_or_a_definition_makes_a_symbol_known(day: Oms) -> None:
    day("mark XRP 1")
    day("instrument SOL --multiplier 10")

    day("positions --symbol XRP")
    day("positions --symbol SOL")


def test_a_difference_between_two_points_past_the_end_compares_nothing(day: Oms) -> None:
    assert "both points are past the end of the log" in day("diff seq:100 seq:200", code=1).stderr
    assert "nothing differs" in day("diff seq:100 seq:200 --allow-empty").stderr
    day("diff seq:7 seq:200")


# --- replay ---


def test_a_check_of_a_day_without_commands_certifies_nothing(day: Oms) -> None:
    refused = day("replay --check --day 1999-12-31", code=1)

    assert "nothing is booked on 1999-12-31" in refused.stderr
    assert "0 commands decided again: nothing is certified" in refused.stderr
    assert "all as recorded" not in refused.stderr
    assert day.json("replay --check --day 1999-12-31", code=1)["check"]["commands"] == 0
    day("replay --check --day 1999-12-31 --allow-empty")


def test_a_check_of_a_log_without_events_certifies_nothing(empty: Oms) -> None:
    assert "0 commands decided again: nothing is certified" in empty("replay --check", code=1).stderr
    empty("replay --check --allow-empty")
    empty("replay")


def test_imported_history_is_decided_again_and_so_certified(history: Oms) -> None:
    assert "2 commands decided again: all as recorded" in history("replay --check --day 2012-06-21").stderr


def test_a_box_has_no_other_account_than_its_own(history: Oms) -> None:
    history("export --day 2012-06-21 -o day.omsday")

    assert "no account 'defualt' in this archive" in history("replay day.omsday --account defualt", code=1).stderr
    history("replay day.omsday --account defualt --allow-empty")
    history("replay day.omsday --account default --check")


def test_a_day_without_events_of_an_account_is_fine_and_the_check_is_of_all_accounts(history: Oms) -> None:
    history("limits set max_position_size=5 --account beta")

    told = history("replay --check --account beta --day 2012-06-21").stderr

    assert "nothing is booked for account beta on 2012-06-21" in told
    assert "2 commands of all accounts decided again: all as recorded" in told


def test_a_mistyped_day_gets_the_nearest_days(history: Oms) -> None:
    for words in ("replay --day 2012-06-12", "pnl --day 2012-06-12", "export --day 2012-06-12"):
        assert "no event is booked on '2012-06-12' (did you mean '2012-06-21'?)" in history(words, code=1).stderr


@pytest.mark.parametrize("command", ["order", "why order"])
def test_an_unknown_order_gets_the_nearest_ids(day: Oms, command: str) -> None:
    assert "no order 'a-2' in this log (did you mean 'a-1'?)" in day(f"{command} a-2", code=1).stderr
    mistyped = day(f"{command} a-1 --account alhpa", code=1).stderr
    assert "no order 'a-1' of account 'alhpa' in this log" in mistyped
    assert "no account 'alhpa' in this log (did you mean 'alpha'?)" in mistyped
    assert "no order 'b-1' at that time" in day(f"{command} b-1 --at-seq 3", code=1).stderr
    assert "no order 'a-1' of account 'zeta'" in day(f"{command} a-1 --account zeta", code=1).stderr


# --- what-if ---


@pytest.fixture
def tighter(tmp_path: Path) -> str:
    (tmp_path / "tighter.yaml").write_text("risk: {max_position_size: 50}\n", encoding="utf-8")
    return "replay --what-if tighter.yaml"


def test_other_limits_certify_nothing_about_imported_orders(history: Oms, tighter: str) -> None:
    refused = history(tighter, code=1)

    assert "1 order or amendment not judged, because imported" in refused.stderr
    assert "nothing is certified: no order was judged" in refused.stderr
    seen = history.json(tighter, code=1)
    assert (seen["judged"], seen["not_judged"], seen["flips"]) == (0, 1, [])
    history(f"{tighter} --allow-empty")


def test_other_limits_say_how_many_orders_were_judged(history: Oms, tighter: str) -> None:
    history("submit X buy limit 10 10 --order-id o-1")

    told = history(tighter).stderr

    assert "1 verdict of 1 order or amendment judged would be different" in told
    assert "1 order or amendment not judged" in told


def test_other_limits_on_a_day_without_orders_certify_nothing(day: Oms, tighter: str) -> None:
    assert "nothing is booked on 1999-12-31" in day(f"{tighter} --day 1999-12-31", code=1).stderr


def test_a_restriction_of_a_symbol_that_does_not_occur_is_reported(day: Oms, tmp_path: Path) -> None:
    (tmp_path / "restricted.yaml").write_text("risk: {restricted: [ADAA, BTC]}\n", encoding="utf-8")

    told = day("replay --what-if restricted.yaml").stderr

    assert "no symbol 'ADAA', which would be restricted (did you mean 'ADA'?)" in told
    assert "no symbol 'BTC'" not in told
