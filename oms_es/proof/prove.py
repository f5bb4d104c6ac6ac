"""
Proofs for an outsider: the events of one order are in a signed log, and a log continues an earlier one.

A proof is a JSON object that a verifier checks without the log; PROOF in the docs names its fields.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from oms_es.errors import AmbiguousOrder, DamagedLog, InvalidInput, InvalidNote, UnknownOrder
from oms_es.identifiers import escaped, shown
from oms_es.log.hash_chain import FORMAT, StoredRow, salt_of, salted_leaf
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.checkpoint import Checkpoint, decoded, parse, read_notes
from oms_es.proof.keys import VerifierKey
from oms_es.proof.merkle import Tree, is_consistent, root_of_inclusion

VERSION = 1
_MOST = 2**28  # bytes of a proof


class Proven(Struct, frozen=True):
    """The result of checking a proof: what it shows, and the events that it contains."""

    statement: str
    log_id: str
    key: str
    events: int  # of the signed log
    rows: tuple[Mapping[str, Any], ...] = ()  # the events of the order, as in the proof


def prove_order(log: SqliteLog, order_id: str, checkpoint: Path, account: str | None = None) -> dict[str, Any]:
    """
    Return the proof that the events of an order are in the log of a checkpoint; later events are left out.

    Raises:
        UnknownOrder, AmbiguousOrder: no order, or orders of several accounts, have this id.
        InvalidNote: the file has no checkpoint of this log.
        DamagedLog: the log does not agree with the checkpoint.
    """
    stream = _stream(log, order_id, account)
    note, tree = _agreeing(log, checkpoint)
    meta = log.meta()
    assert meta is not None, "it has an order"
    rows = [row for row in log.stream_rows(stream) if row.seq <= note.events]
    if not rows:
        raise UnknownOrder(f"order {shown(order_id)} begins after the {note.events} events of the checkpoint")
    return {
        "version": VERSION,
        "log_id": note.log_id,
        "format": FORMAT,
        "checkpoint": note.note,
        "order": {"account": stream.split("/")[1], "order_id": order_id},
        "events": [_proven_row(row, meta.secret, tree.inclusion(row.seq - 1, note.events)) for row in rows],
        "complete": {"stream_events": len(rows)},
    }


def _stream(log: SqliteLog, order_id: str, account: str | None) -> str:
    found = log.order_streams(order_id)
    wanted = [each for each in found if account is None or each == f"order/{account}/{order_id}"]
    if not wanted:
        where = "" if account is None else f" of account {shown(account)}"
        raise UnknownOrder(f"the log has no order {shown(order_id)}{where}")
    if len(wanted) > 1:
        accounts = ", ".join(each.split("/")[1] for each in wanted)
        raise AmbiguousOrder(f"order {shown(order_id)} is in several accounts: {accounts}; name one")
    return wanted[0]


def _agreeing(log: SqliteLog, file: Path) -> tuple[Checkpoint, Tree]:
    """Return the last checkpoint of this log in a file, and the tree over its events."""
    note = last_note(log, file)
    if note.events > log.head().seq:
        raise DamagedLog(f"{log.path} has {log.head().seq} events; the checkpoint in {file} has {note.events}")
    tree = Tree([leaf for _, leaf in log.verified(0, note.events)])
    if tree.root() != note.root:
        raise DamagedLog(f"{log.path} does not agree with the checkpoint of {note.events} events in {file}")
    return note, tree


def last_note(log: SqliteLog, file: Path) -> Checkpoint:
    """
    Return the checkpoint with the most events of this log in a file.

    Raises:
        InvalidNote: it has none.
    """
    meta = log.meta()
    notes = [each for each in read_notes(file) if meta is not None and each.log_id == meta.log_id]
    if not notes:
        raise InvalidNote(f"{file} has no checkpoint of the log {log.path}")
    return max(notes, key=lambda each: each.events)


def _proven_row(row: StoredRow, secret: bytes, path: Sequence[bytes]) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "originator_id": row.originator_id,
        "originator_version": row.originator_version,
        "topic": row.topic,
        "state": base64.b64encode(row.state).decode(),
        "account": row.account,
        "origin": row.origin,
        "occurred_at": row.occurred_at,
        "effective_at": row.effective_at,
        "recorded_at": row.recorded_at,
        "trading_day": row.trading_day,
        "command_id": row.command_id,
        "salt": salt_of(row.seq, secret).hex(),
        "index": row.seq - 1,
        "path": [base64.b64encode(each).decode() for each in path],
    }


def prove_consistency(log: SqliteLog, old: Path, new: Path) -> dict[str, Any]:
    """
    Return the proof that the log of one checkpoint is the beginning of the log of another.

    Raises:
        InvalidNote, InvalidInput: a file has no checkpoint of this log, or `old` has more events than `new`.
        DamagedLog: the log does not agree with one of them.
    """
    before, (after, tree) = last_note(log, old), _agreeing(log, new)
    if before.events > after.events:
        raise InvalidInput(f"{old} has {before.events} events, more than the {after.events} of {new}")
    if tree.root(before.events) != before.root:
        raise DamagedLog(f"{log.path} does not agree with the checkpoint of {before.events} events in {old}")
    return {
        "version": VERSION,
        "log_id": after.log_id,
        "old": before.note,
        "new": after.note,
        "path": [base64.b64encode(each).decode() for each in tree.consistency(before.events, after.events)],
    }


def read_proof(path: Path) -> Any:
    """
    Return the JSON of a proof.

    Raises:
        InvalidInput: the file cannot be read, or is not JSON.
    """
    try:
        if not path.is_file() or path.stat().st_size > _MOST:
            raise InvalidInput(f"{path} is not a file with a proof" if path.exists() else f"there is no file {path}")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{path} is not a proof: {escaped(str(error))}") from None


def check_proof(proof: Any, keys: Sequence[VerifierKey]) -> Proven:
    """
    Check a proof of an order or of consistency; no log is needed.

    Raises:
        InvalidNote: it proves nothing; the message names the reason.
    """
    try:
        if proof["version"] != VERSION:
            raise InvalidNote(f"its version is {escaped(str(proof['version']))}; this release reads {VERSION}")
        return _consistency(proof, keys) if "path" in proof else _order(proof, keys)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, binascii.Error) as error:
        if isinstance(error, InvalidNote):
            raise
        raise InvalidNote(f"a field is missing or has another type: {escaped(repr(error))}") from None


def _note(proof: Any, field: str, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, str]:
    note = parse(proof[field])
    if note.log_id != proof["log_id"]:
        raise InvalidNote(f"the checkpoint is of the log {note.log_id}, not {escaped(str(proof['log_id']))}")
    return note, note.signer(keys).name


def _consistency(proof: Any, keys: Sequence[VerifierKey]) -> Proven:
    (old, _), (new, key) = _note(proof, "old", keys), _note(proof, "new", keys)
    path = [decoded(each, 32) for each in proof["path"]]
    if not is_consistent(old.events, new.events, old.root, new.root, path):
        raise InvalidNote(f"the {new.events} events do not begin with the {old.events} events")
    statement = f"the log of {new.events} events begins with the {old.events} events that were signed before"
    return Proven(statement, new.log_id, key, new.events)


def _order(proof: Any, keys: Sequence[VerifierKey]) -> Proven:
    note, key = _note(proof, "checkpoint", keys)
    order, rows = proof["order"], proof["events"]
    if proof["format"] != FORMAT:
        raise InvalidNote(f"its leaves have format {escaped(str(proof['format']))}; this release reads {FORMAT}")
    stream = f"order/{order['account']}/{order['order_id']}"
    last = 0
    for version, row in enumerate(rows, 1):
        if (row["originator_id"], row["originator_version"], row["account"]) != (stream, version, order["account"]):
            raise InvalidNote(f"event {version} of the proof is not version {version} of {escaped(stream)}")
        if type(row["seq"]) is not int or row["seq"] <= last or row["index"] != row["seq"] - 1:
            raise InvalidNote(f"event {version} of the proof has seq or index out of order")
        last = row["seq"]
        path = [decoded(each, 32) for each in row["path"]]
        if root_of_inclusion(_leaf(row), row["index"], note.events, path) != note.root:
            raise InvalidNote(f"seq {last} is not in the log: its path does not lead to the root of the checkpoint")
    if not rows or proof["complete"]["stream_events"] != len(rows):
        raise InvalidNote(f"it has {len(rows)} events, not as many as it claims")
    statement = (
        f"the first {len(rows)} events of order {order['order_id']} of account {order['account']} are in the log of "
        f"{note.events} events; whether more events follow cannot be known from this proof"
    )
    return Proven(statement, note.log_id, key, note.events, tuple(rows))


_TYPES = {"seq": int, "originator_version": int, "occurred_at": int, "effective_at": int, "recorded_at": int}


def _leaf(row: Mapping[str, Any]) -> bytes:
    columns = {name: row[name] for name in StoredRow._fields if name not in {"state", "chain"}}
    for name, value in columns.items():
        expected = _TYPES.get(name, str)
        if type(value) is not expected and not (name == "command_id" and value is None):
            raise InvalidNote(f"seq {row['seq']}: {name} has another type")
    return salted_leaf(StoredRow(**columns, state=decoded(row["state"]), chain=b""), bytes.fromhex(row["salt"]))
