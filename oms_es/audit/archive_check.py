"""Verify a day archive: its rows and its chain, and whether a signed checkpoint anchors them."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from oms_es.audit.day_archive import BadDayArchive, DayArchive, unpack
from oms_es.errors import InvalidNote
from oms_es.proof.damage import Kind
from oms_es.proof.keys import VerifierKey
from oms_es.proof.verify import ANCHORED, MISMATCH, UNANCHORED, UNREADABLE, CheckedNote, Verification


def verify_archive(path: Path, keys: Sequence[VerifierKey]) -> Verification:
    """Verify a day archive; `keys` check the signature of the checkpoint in it."""
    try:
        if not zipfile.is_zipfile(path):
            return Verification(status=UNREADABLE, detail=f"{path} is not a day archive")
        found = unpack(path)
    except BadDayArchive as error:
        return Verification(status=MISMATCH, kind=Kind.ALTERED.value, detail=str(error))
    events = found.manifest.last_seq - found.manifest.first_seq + 1
    result = Verification(status=UNANCHORED, events=events, head_chain=found.manifest.chain, tail_events=events)
    if found.anchor is None:
        return result
    note = CheckedNote(str(path), None)
    result.checkpoints = [note]
    try:
        note.events, note.key = found.anchored(keys)
        note.ok = True
    except InvalidNote as error:
        result.status, result.kind, result.detail = MISMATCH, Kind.SIGNATURE.value, f"{path}: {error}"
        return result
    if note.key is not None:
        result.status, result.tail_events = ANCHORED, 0
    return result


def anchor_words(archive: DayArchive, keys: Sequence[VerifierKey]) -> str:
    """
    State whether a day archive is anchored.

    Raises:
        InvalidNote: the checkpoint in it proves nothing about its events.
    """
    if archive.anchor is None:
        return "not anchored: the archive has no checkpoint"
    events, key = archive.anchored(keys)
    if key is None:
        return f"not anchored: no key was named to check the checkpoint of {events} events"
    return f"anchored: its events are in the checkpoint of {events} events, signed by {key}"
