"""`oms verify`, `oms checkpoint` and `oms key`."""

from pathlib import Path

import pytest

from tests.cli.test_cli import Oms
from tests.tampering import LAST, short_day, tampered


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    monkeypatch.chdir(tmp_path)
    oms = Oms(short_day(tmp_path / "day.db"))
    oms("key new desk -o desk.key")
    return oms


def test_a_checkpoint_anchors_the_log_that_it_was_made_of(oms: Oms) -> None:
    alone = oms("verify", code=3)
    oms("checkpoint --key desk.key -o head.ckpt")
    anchored = oms("verify --checkpoint head.ckpt --key desk.key.pub")

    assert alone.stdout.startswith(f"unanchored: {LAST} events, chain ")
    assert anchored.stdout.splitlines()[0] == f"checkpoint of {LAST} events in 'head.ckpt': agrees, signed by desk"
    assert "after the last checkpoint that agrees: 0 events over 0 s" in anchored.stderr


def test_a_changed_row_is_a_mismatch_with_its_seq(oms: Oms) -> None:
    tampered(oms.log, "UPDATE events SET state = CAST(replace(state, '100', '900') AS BLOB) WHERE seq = 2")

    found = oms.json("verify", code=1)

    assert (found["status"], found["first_bad_seq"], found["kind"]) == ("mismatch", 2, "altered")
    assert "order/default/o-1" in found["detail"]
    assert found["detail"] in oms("verify", code=1).stdout


def test_verify_of_no_log_ends_with_4(oms: Oms) -> None:
    assert oms.json("verify --log missing.db", code=4)["status"] == "unreadable"


def test_a_checkpoint_goes_to_standard_output_a_file_or_the_end_of_a_file(oms: Oms) -> None:
    printed = oms("checkpoint --key desk.key").stdout
    oms("checkpoint --key desk.key --append all.ckpts")
    oms("checkpoint --key desk.key --append all.ckpts")

    assert Path("all.ckpts").read_text() == printed * 2
    assert oms.json("checkpoint --key desk.key")["note"] == printed
    oms("checkpoint --key desk.key -o a --append b", code=2)
    oms("checkpoint --key desk.key -o day.db", code=2)


def test_a_log_that_was_changed_is_not_signed(oms: Oms) -> None:
    tampered(oms.log, "UPDATE events SET state = CAST(replace(state, '100', '900') AS BLOB) WHERE seq = 2")

    refused = oms("checkpoint --key desk.key -o head.ckpt", code=1)

    assert "seq 2 does not continue the hash chain" in refused.stderr
    assert not Path("head.ckpt").exists()


def test_an_order_is_proven_without_the_log(oms: Oms) -> None:
    oms("checkpoint --key desk.key -o head.ckpt")
    oms("prove --order o-1 --checkpoint head.ckpt -o proof.json")
    oms("consistency head.ckpt head.ckpt -o both.json")
    oms.log.unlink()

    shown = oms("verify-proof proof.json --key desk.key.pub")

    assert shown.stdout.split()[:2] == ["2", "OrderSubmitted"]
    assert "signed by desk" in shown.stderr
    assert oms.json("verify-proof both.json --key desk.key.pub")["proven"]
    Path("both.json").write_text(Path("both.json").read_text().replace(f"\\n{LAST}\\n", "\\n12\\n"))
    assert oms.json("verify-proof both.json --key desk.key.pub", code=1)["reason"] == "the signature by desk is wrong"


def test_an_order_that_is_unknown_or_in_several_accounts_is_not_proven(oms: Oms) -> None:
    oms("submit ADAUSDM buy limit 1 10 --order-id o-1 --account other", code=1)  # rejected, and recorded
    oms("checkpoint --key desk.key -o head.ckpt")

    assert "no order 'o-9'" in oms("prove --order o-9 --checkpoint head.ckpt -o p.json", code=1).stderr
    assert "several accounts" in oms("prove --order o-1 --checkpoint head.ckpt -o p.json", code=1).stderr
    oms("prove --order o-1 --account other --checkpoint head.ckpt -o p.json")
