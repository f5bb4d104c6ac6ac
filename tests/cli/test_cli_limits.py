"""`oms limits` and `oms quarantine`: values, and the moment that they are asked about."""

from pathlib import Path

import pytest

from tests.cli.test_cli import Oms


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    monkeypatch.chdir(tmp_path)
    return Oms(tmp_path / "day.db")


def test_limits_set_refuses_an_empty_value_and_null_clears_restricted(oms: Oms) -> None:
    assert "has no value" in oms("limits set max_position_size=", code=2).stderr
    oms("limits set restricted=A,B")
    oms("limits set restricted=null")
    assert oms.json("limits")["limits"][0]["values"]["risk.restricted"] == []


def test_limits_and_quarantine_take_at_seq(oms: Oms) -> None:
    oms("limits set max_position_size=500")
    oms("limits set max_position_size=600")
    seq = oms.json("limits")["basis"]["seq"]

    assert oms.json(f"limits --at-seq {seq - 1}")["limits"][0]["values"]["risk.max_position_size"] == "500"
    oms("fill nobody 1 1 --trade-id t", code=1)
    assert oms.json(f"quarantine --at-seq {seq}")["quarantine"] == []
    assert len(oms.json("quarantine")["quarantine"]) == 1
    for words in ("limits", "mark ADA 1", "why position ADA", "replay", "diff seq:1 now", "submit ADA buy limit 10 1"):
        assert "1 fill waits in quarantine" in oms(words).stderr, words
