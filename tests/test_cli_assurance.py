"""An answer certifies nothing about what the log does not contain: it says so, and its exit code is 1."""

import shutil
from pathlib import Path

import pytest

from oms_es.log.sqlite import SqliteLog
from tests.desk import facts_file, filled, submitted
from tests.test_cli import Oms


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
    assert "holds throughout" not in refused.stderr
    answer = day.json(f"bisect '{claim}'", code=1)
    assert (answer["holds"], answer["turn"]) == (None, None)
    assert [f"no {each['kind']} '{each['name']}'" for each in answer["unknown"]] == [" ".join(said.split()[:3])]


def test_a_script_may_ask_about_names_that_are_still_to_come(day: Oms) -> None:
    allowed = day(["bisect", 'position("XRP") <= 1000', "--allow-empty"])

    assert "no symbol 'XRP'" in allowed.stderr
    assert "the claim holds throughout" in allowed.stderr
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
        assert "there is no event to look at" in empty(words, code=1).stderr
        answer = empty.json(words, code=1)
        assert (answer["holds"], answer["events"]) == (None, 0)
        assert "holds throughout" in empty(f"{words} --allow-empty").stderr


def test_a_claim_certifies_nothing_past_the_end_of_the_log(day: Oms) -> None:
    past = day("bisect true --between seq:8 seq:20", code=1)

    assert "--between reaches past the end of the log (seq 7)" in past.stderr
    assert "there is no event to look at" in past.stderr
    assert day.json("bisect true --between seq:8 now", code=1)["basis"]["past_end"] is True
    assert "reaches past the end" in day("bisect true --between seq:1 seq:20").stderr
    assert day("bisect true --between 1999-01-01T00:00:00Z 1999-01-02T00:00:00Z", code=1).stdout == ""


def test_a_claim_about_a_box_knows_the_names_in_its_opening_state(history: Oms) -> None:
    more = facts_file(
        history.log.with_name("more.jsonl"), filled(3, "b", ts="2012-06-22T13:30:00Z", symbol="Y", side="buy")
    )
    history(["import", "facts", str(more)])
    history("export --day 2012-06-22 -o day.omsday")

    assert history.json("bisect 'position(\"X\") == 100' day.omsday")["holds"] is True
    assert "no symbol 'Z'" in history("bisect 'position(\"Z\") == 0' day.omsday", code=1).stderr
    assert "no event to look at" in history("bisect true day.omsday --between seq:89 now", code=1).stderr
