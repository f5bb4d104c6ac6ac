"""`oms halt`, `oms resume` and `oms limits` say which level is in force for an account, and because of what."""

from pathlib import Path

import pytest

from tests.cli.test_cli import Oms


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    """Return a log with an order of alpha (seq 2 and 3)."""
    monkeypatch.chdir(tmp_path)
    made = Oms(tmp_path / "day.db")
    made("submit ADA buy limit 100 0.45 --account alpha")
    return made


@pytest.fixture
def halted(oms: Oms) -> Oms:
    """Return a log in which every account is halted (seq 4)."""
    oms("halt")
    return oms


BECAUSE = "account alpha: halted in force, because every account is halted (seq 4); its own level is"


def test_a_level_of_an_account_under_a_halt_of_all_says_what_is_in_force(halted: Oms) -> None:
    said = halted("halt --level reduce_only --account alpha").stderr.splitlines()

    assert said[0] == "account alpha: set to reduce_only (seq 5)"
    assert said[1] == f"{BECAUSE} reduce_only"
    assert said[2] == "cancels and fills pass; oms resume releases it"


def test_a_resume_of_an_account_under_a_halt_of_all_releases_nothing(halted: Oms) -> None:
    said = halted("resume --account alpha").stderr

    assert "account alpha: set to normal (seq 5)" in said
    assert f"{BECAUSE} normal" in said
    halted("submit ADA buy limit 100 0.45 --account alpha", code=1)


def test_json_says_what_was_set_and_what_is_in_force(halted: Oms) -> None:
    assert halted.json("halt --level reduce_only --account alpha") == {
        "account": "alpha",
        "level": "halted",
        "seq": 5,
        "own_level": "reduce_only",
        "because": {"account": "*", "level": "halted", "seq": 4},
        "others": [],
    }
    assert halted.json("resume --account alpha")["because"]["seq"] == 4


def test_a_resume_of_all_says_which_accounts_stay_halted(halted: Oms) -> None:
    halted("halt --account alpha")
    halted("halt --account beta --level reduce_only")

    said = halted("resume").stderr

    assert "every account: normal (seq 7)" in said
    assert "account alpha: halted in force, by its own level (seq 5)" in said
    assert "account beta: reduce_only in force, by its own level (seq 6)" in said
    others = halted.json("halt --level reduce_only")["others"]
    assert others == [{"account": "alpha", "level": "halted", "seq": 5}]


def test_an_own_level_that_is_in_force_has_no_other_cause(oms: Oms) -> None:
    said = oms("halt --account alpha").stderr

    assert said.splitlines()[0] == "account alpha: halted (seq 4)"
    assert "oms resume --account alpha releases it" in said
    assert "because" not in said
    assert oms.json("resume --account alpha")["because"] is None


def test_limits_show_the_level_in_force_and_the_own_one(halted: Oms) -> None:
    halted("halt --level reduce_only --account alpha")

    assert f"{BECAUSE} reduce_only" in halted("limits --account alpha").stderr
    assert f"{BECAUSE} reduce_only" in halted("limits").stderr
    assert "because" not in halted("limits --account alpha --at-seq 3").stderr
    (row,) = halted.json("limits --account alpha")["limits"]
    assert (row["level"], row["own_level"]) == ("halted", "reduce_only")


def test_limits_of_an_account_without_a_level_of_its_own_name_the_halt_of_all(halted: Oms) -> None:
    assert f"{BECAUSE} normal" in halted("limits --account alpha").stderr


def test_a_level_of_an_account_that_is_new_to_the_log_is_set_and_reported(oms: Oms) -> None:
    said = oms("halt --account alhpa").stderr

    assert "account 'alhpa' is new to this log (did you mean 'alpha'?)" in said
    assert "account alhpa: halted" in said
    assert "is new" in oms("limits set max_position_size=5 --account alhpaa").stderr
    assert "is new" not in oms("resume --account alpha").stderr
