"""
The anchor of a part of a log: the signed checkpoint, and what leads from the part's leaves to its root.

An anchor contains the frontier of the tree before the first event of the part, and a consistency proof from the tree
that ends with its last event to the tree of the checkpoint. So the part is proven without the rest of the log.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from oms_es.errors import DamagedLog, InvalidNote
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.checkpoint import parse, read_notes
from oms_es.proof.keys import VerifierKey
from oms_es.proof.merkle import Frontier, Tree, is_consistent


class Anchor(Struct, frozen=True):
    """An anchor, as JSON; hashes are hex."""

    checkpoint: str  # the note
    frontier: list[str]  # before the first event
    path: list[str]  # the proof of consistency


def anchor_of(log: SqliteLog, first: int, last: int, file: Path) -> Anchor:
    """
    Return the anchor of the events `first` to `last`, by the earliest checkpoint in a file that covers them.

    Raises:
        InvalidNote: the file has no such checkpoint.
        DamagedLog: the log does not agree with it.
    """
    meta = log.meta()
    notes = [each for each in read_notes(file) if meta and each.log_id == meta.log_id and each.events >= last]
    if not notes:
        raise InvalidNote(f"{file} has no checkpoint of this log with at least {last} events")
    note = min(notes, key=lambda each: each.events)
    leaves, frontier = [leaf for _, leaf in log.verified(0, min(note.events, log.head().seq))], Frontier()
    tree = Tree(leaves)
    if tree.root() != note.root:
        raise DamagedLog(f"{log.path} does not agree with the checkpoint of {note.events} events in {file}")
    for leaf in leaves[: first - 1]:
        frontier.add(leaf)
    path = tree.consistency(last, note.events)
    return Anchor(note.note, [each.hex() for each in frontier.hashes], [each.hex() for each in path])


def check_anchor(
    anchor: Anchor, log_id: str, first: int, leaves: Iterable[bytes], keys: Sequence[VerifierKey]
) -> tuple[int, str | None]:
    """
    Check that leaves, from the event `first` on, are in the tree of an anchor's checkpoint.

    Returns:
        The events of the checkpoint, and the name of the key that signed it; None: no key was passed.

    Raises:
        InvalidNote: they are not, or the checkpoint is of another log, or not signed by one of the keys.
    """
    note = parse(anchor.checkpoint)
    signer = note.signer(keys).name if keys else None
    if note.log_id != log_id:
        raise InvalidNote(f"the checkpoint is of the log {note.log_id}, not of {log_id}")
    try:
        frontier = Frontier(first - 1, map(bytes.fromhex, anchor.frontier))
        path = list(map(bytes.fromhex, anchor.path))
    except ValueError:
        raise InvalidNote("the hashes of the anchor cannot be read") from None
    for leaf in leaves:
        frontier.add(leaf)
    if not is_consistent(frontier.size, note.events, frontier.root(), note.root, path):
        raise InvalidNote(f"the events are not in the tree of the checkpoint of {note.events} events")
    return note.events, signer
