"""
Signed checkpoints: the number of events and the root of their Merkle tree, as a C2SP signed note.

    oms_es/<log id>
    <number of events>
    <base64 of the root>

    — <key name> <base64 of (key id ‖ Ed25519 signature of the three lines)>

A file may contain several notes, one after another. Source: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint.
"""

import base64
import binascii
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from oms_es.errors import InvalidNote
from oms_es.files import replacing, sync_folder
from oms_es.identifiers import escaped
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.keys import SigningKey, VerifierKey
from oms_es.proof.merkle import Frontier
from oms_es.proof.tree_head import frontier_of

ORIGIN = "oms_es/"
_DASH = "— "
_MOST_EVENTS = 2**63
_MOST_BYTES = 2**28  # of a file with checkpoints: about a million notes


class Signature(Struct, frozen=True):
    """A signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes


class Checkpoint(Struct, frozen=True):
    """A checkpoint; `text` is the signed part of its note."""

    log_id: str
    events: int
    root: bytes
    signatures: tuple[Signature, ...] = ()

    @property
    def text(self) -> str:
        """Return the three lines that are signed."""
        return f"{ORIGIN}{self.log_id}\n{self.events}\n{base64.b64encode(self.root).decode()}\n"

    @property
    def note(self) -> str:
        """Return the whole note."""
        lines = (
            f"{_DASH}{each.name} {base64.b64encode(each.key_id + each.signature).decode()}\n"
            for each in self.signatures
        )
        return f"{self.text}\n{''.join(lines)}"

    def signed_by(self, key: SigningKey) -> "Checkpoint":
        """Return the checkpoint with one more signature."""
        added = Signature(key.verifier.name, key.verifier.key_id, key.sign(self.text.encode()))
        return Checkpoint(self.log_id, self.events, self.root, (*self.signatures, added))

    def signer(self, keys: Sequence[VerifierKey]) -> VerifierKey:
        """
        Return the first of `keys` that signed this checkpoint; signatures of unknown keys are ignored.

        Raises:
            InvalidNote: none of them signed it, or a signature by one of them is wrong.
        """
        found: list[VerifierKey] = []
        for each in self.signatures:
            for key in keys:
                if (key.name, key.key_id) == (each.name, each.key_id):
                    if not key.accepts(each.signature, self.text.encode()):
                        raise InvalidNote(f"the signature by {key.name} is wrong")
                    found.append(key)
        if not found:
            signers = ", ".join(f"{each.name}+{each.key_id.hex()}" for each in self.signatures)
            raise InvalidNote(
                f"it is signed by {escaped(signers)}, not by {', '.join(map(str, (each.label for each in keys)))}"
            )
        return found[0]


def parse(note: str) -> Checkpoint:
    """
    Return the checkpoint of a note; its signatures are not checked.

    Raises:
        InvalidNote: the text is not such a note.
    """
    body, empty, signed = note.partition("\n\n")
    lines = body.split("\n")
    if not empty or len(lines) != 3 or not signed.endswith("\n"):
        raise InvalidNote("a note has three lines, an empty line, and signatures")
    origin, events, root = lines
    if not re.fullmatch(ORIGIN + r"[A-Za-z0-9._-]{1,128}", origin):
        raise InvalidNote(f"its first line is not {ORIGIN} and the id of a log: {escaped(origin)}")
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", events) or int(events) >= _MOST_EVENTS:
        raise InvalidNote(f"its second line is not a number of events: {escaped(events)}")
    signatures = tuple(map(_signature, signed.removesuffix("\n").split("\n")))
    return Checkpoint(origin.removeprefix(ORIGIN), int(events), decoded(root, 32), signatures)


def _signature(line: str) -> Signature:
    name, space, content = line.removeprefix(_DASH).rpartition(" ")
    if not line.startswith(_DASH) or not space or not name or " " in name or "+" in name:
        raise InvalidNote(f"a signature line is not `{_DASH}name base64`: {escaped(line)}")
    raw = decoded(content)
    if len(raw) < 5:
        raise InvalidNote(f"a signature is too short: {escaped(line)}")
    return Signature(name, raw[:4], raw[4:])


def decoded(text: str, size: int | None = None) -> bytes:
    """
    Return the bytes of base64 in its one canonical form, padded.

    Raises:
        InvalidNote: it is not base64 of `size` bytes.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if base64.b64encode(raw).decode() != text or size not in {None, len(raw)}:
        wanted = "" if size is None else f" of {size} bytes"
        raise InvalidNote(f"{escaped(text[:100])} is not base64{wanted}")
    return raw


def read_notes(path: Path) -> list[Checkpoint]:
    """
    Return the checkpoints in a file; each begins at a line `oms_es/…`.

    Raises:
        InvalidNote: the file cannot be read, contains none, or something else beside them; names the file.
    """
    try:
        if not path.is_file():
            raise InvalidNote(f"{path}: there is no such file")
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidNote(f"{path} is larger than a file with checkpoints")
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeError) as error:
        raise InvalidNote(f"{path} cannot be read: {escaped(str(error))}") from None
    notes = list(_split(text))
    if not notes:
        raise InvalidNote(f"{path} contains no checkpoint")
    try:
        return [parse(each) for each in notes]
    except InvalidNote as error:
        raise InvalidNote(f"{path} is not a file with checkpoints: {error}") from None


def _split(text: str) -> Iterator[str]:
    starts = [found.start() for found in re.finditer(f"^{ORIGIN}", text, re.MULTILINE)]
    for start, end in zip([0, *starts[1:]], [*starts[1:], len(text)], strict=True) if starts else ():
        yield text[start:end]


def sign_head(log: SqliteLog, keys: Iterable[SigningKey]) -> Checkpoint:
    """
    Return a signed checkpoint of the head of the log.

    Raises:
        DamagedLog: a row does not continue the hash chain; nothing is signed.
        LogMissing: the log has no event.
    """
    log_id, frontier = frontier_of(log)
    return signed(log_id, frontier, keys)


def signed(log_id: str, frontier: Frontier, keys: Iterable[SigningKey]) -> Checkpoint:
    """Return a checkpoint of a tree, signed by each key."""
    found = Checkpoint(log_id, frontier.size, frontier.root())
    for key in keys:
        found = found.signed_by(key)
    return found


def write_note(found: Checkpoint, path: Path, *, append: bool = False) -> None:
    """
    Write a note durably: as a new file in place of `path`, or at the end of `path`.

    Raises:
        OSError, LogError: it cannot be written.
    """
    if not append:
        with replacing(path) as fresh:
            fresh.write_text(found.note, encoding="utf-8")
        return
    is_new = not path.exists()
    with path.open("ab") as file:
        file.write(found.note.encode())
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_folder(path.parent)
