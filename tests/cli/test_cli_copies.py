"""`oms backup`, `oms restore`, `oms salvage` and `oms doctor`."""

from pathlib import Path

import pytest

from tests.cli.test_cli import Oms
from tests.tampering import LAST, short_day, tampered

CHANGED = "UPDATE events SET state = CAST(replace(state, '100', '900') AS BLOB) WHERE seq = 2"


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    monkeypatch.chdir(tmp_path)
    return Oms(short_day(tmp_path / "day.db"))


def test_a_backup_is_restored_to_the_same_answers(oms: Oms) -> None:
    saved = oms("backup copy.db")
    copied = oms.json("restore copy.db --log new.db")

    assert f"{LAST} events, verified\nhead {LAST}, chain {copied['head_chain']}" in saved.stderr
    assert copied["events"] == LAST
    assert oms("positions --json --log new.db").stdout == oms("positions --json").stdout
    assert "is not overwritten" in oms("backup copy.db", code=2).stderr
    assert "is not overwritten" in oms("restore copy.db --log new.db", code=2).stderr


def test_a_restored_log_is_checked_against_a_checkpoint(oms: Oms) -> None:
    oms("key new desk -o desk.key")
    oms("checkpoint --key desk.key -o head.ckpt")
    oms("backup whole.db")
    oms("mark X 5")
    oms("checkpoint --key desk.key -o later.ckpt")

    oms("restore whole.db --log new.db --checkpoint head.ckpt --key desk.key.pub")
    refused = oms("restore whole.db --log other.db --checkpoint later.ckpt --key desk.key.pub", code=1)

    assert f"the log ends at seq {LAST}" in refused.stderr
    assert not Path("other.db").exists()


def test_the_part_before_a_change_is_saved(oms: Oms) -> None:
    tampered(oms.log, CHANGED)

    saved = oms("salvage day.db -o saved.db", code=1)

    assert "contains what was saved of 'day.db': 1 event, verified" in saved.stderr
    assert "seq 2 and everything after it is not in it: seq 2 is not as it was written" in saved.stderr
    oms("verify --log saved.db", code=3)
    assert oms.json("salvage day.db -o again.db", code=1)["lost_from"] == 2


def test_doctor_ends_with_1_if_something_is_wrong(oms: Oms) -> None:
    sound = oms("doctor")
    tampered(oms.log, CHANGED)
    hurt = oms("doctor", code=1)

    assert f"nothing is wrong; {LAST} events, each as it was written" in sound.stdout
    assert "altered: seq 2" in hurt.stdout
    assert oms.json("doctor", code=1)["findings"][0]["advice"].startswith("keep the file as it is")
    assert "there is no log at" in oms("doctor --log missing.db", code=1).stdout
