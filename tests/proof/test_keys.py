"""Keys of checkpoints, and their signed notes."""

import base64
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from oms_es.errors import InvalidInput, InvalidKey, InvalidNote
from oms_es.proof.checkpoint import Checkpoint, parse, read_notes, write_note
from oms_es.proof.keys import SigningKey, VerifierKey, create

# The key and the note of the example in golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE_SIGNED_BY_PETER = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
SIGNED = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="


def test_a_key_pair_is_two_files_that_are_never_overwritten(tmp_path: Path) -> None:
    made = create("desk", tmp_path / "desk.key")

    assert (tmp_path / "desk.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "desk.key").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert (tmp_path / "desk.key.pub").read_text() == f"{made}\n"
    name, key_id, content = str(made).split("+", 2)
    raw = base64.b64decode(content)
    assert (name, len(raw), raw[0]) == ("desk", 33, 1)
    assert key_id == sha256(b"desk\n" + raw).hexdigest()[:8]
    before = (tmp_path / "desk.key").read_bytes()
    with pytest.raises(InvalidInput, match="never overwritten"):
        create("desk", tmp_path / "desk.key")
    assert (tmp_path / "desk.key").read_bytes() == before


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "x" * 101])
def test_a_name_of_a_key_has_no_space_and_no_plus(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        create(name, tmp_path / "desk.key")

    assert list(tmp_path.iterdir()) == []


def test_the_published_example_of_a_signed_note_is_accepted() -> None:
    key, raw = VerifierKey.parse(PETER), base64.b64decode(SIGNED)

    assert raw[:4] == key.key_id
    assert key.accepts(raw[4:], NOTE_SIGNED_BY_PETER.encode())
    assert not key.accepts(raw[4:], NOTE_SIGNED_BY_PETER.encode() + b" ")


@pytest.mark.parametrize("text", [
    "", "desk", PETER.replace("c74f20a3", "c74f20a4"), PETER.replace("+ARpc", "+AhpcX"), PETER[:-4],
])  # fmt: skip
def test_another_text_is_no_verifier_key(text: str, tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_text(text)

    with pytest.raises(InvalidKey, match=r"k\.pub"):
        VerifierKey.load(tmp_path / "k.pub")


def test_the_name_comes_from_the_verifier_key_beside_the_private_key(tmp_path: Path) -> None:
    create("desk", tmp_path / "a.key")
    create("other", tmp_path / "b.key")

    assert SigningKey.load(tmp_path / "a.key").verifier.name == "desk"
    with pytest.raises(InvalidKey, match="is the key desk"):
        SigningKey.load(tmp_path / "a.key", "other")
    (tmp_path / "b.key.pub").replace(tmp_path / "a.key.pub")
    with pytest.raises(InvalidKey, match="belongs to another private key"):
        SigningKey.load(tmp_path / "a.key")
    with pytest.raises(InvalidKey, match="pass --name"):
        SigningKey.load(tmp_path / "b.key")
    assert SigningKey.load(tmp_path / "b.key", "renamed").verifier.name == "renamed"


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", tmp_path / "x.key"], check=True)
    (tmp_path / "text.key").write_text("no key")

    for name in ("x.key", "text.key", "missing.key"):
        with pytest.raises(InvalidKey, match=name):
            SigningKey.load(tmp_path / name, "desk")


@pytest.fixture
def note(tmp_path: Path) -> Checkpoint:
    create("desk", tmp_path / "desk.key")
    return Checkpoint("a" * 32, 7, bytes(range(32))).signed_by(SigningKey.load(tmp_path / "desk.key"))


def test_a_note_is_three_lines_an_empty_line_and_signatures(note: Checkpoint, tmp_path: Path) -> None:
    (origin, events, root, empty, signature, end) = note.note.split("\n")

    assert (origin, events, empty, end) == (f"oms_es/{'a' * 32}", "7", "", "")
    assert root == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert signature.startswith("— desk ")
    assert parse(note.note) == note
    for _ in range(2):
        write_note(note, tmp_path / "all.ckpts", append=True)
    assert read_notes(tmp_path / "all.ckpts") == [note, note]


def test_another_text_is_no_note(note: Checkpoint) -> None:
    text = note.note
    wrong = [
        text.replace("oms_es/", "oms/"),
        text.replace("\n7\n", "\n07\n"),
        text.replace("\n7\n", "\n-7\n"),
        text.replace("\n7\n", "\n99999999999999999999\n"),
        text.replace("Hh8=", "Hh9="),  # the same bytes, another base64
        text.replace("Hh8=", "Hh8"),
        text.replace("\n\n", "\nmore\n\n"),
        text.replace("\n\n", "\n"),
        text.replace("— desk ", "- desk "),
        text.replace("— desk ", "— de+sk "),
        text.removesuffix("\n"),
        text + "\n",
        text.replace("\n", "\r\n"),
    ]

    for each in wrong:
        with pytest.raises(InvalidNote):
            parse(each)
