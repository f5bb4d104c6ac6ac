"""
An outsider's verifier, written from the published format alone: the standard library and `cryptography`, no oms_es.

It recomputes everything from the file: leaves, chain, roots, inclusion and consistency paths, notes.
"""

import base64
import hashlib
import sqlite3
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class LogContent(NamedTuple):
    """A log as an outsider reads it."""

    log_id: str
    leaves: list[bytes]
    chain: list[bytes]


def p(x: Any) -> bytes:
    if x is None:
        return bytes.fromhex("ffffffff")
    raw = str(x).encode()
    return len(raw).to_bytes(4, "big") + raw


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def leaf_of(row: dict[str, Any], state: bytes, salt: bytes) -> bytes:
    names = [
        "seq",
        "originator_id",
        "originator_version",
        "topic",
        "account",
        "origin",
        "occurred_at",
        "effective_at",
        "recorded_at",
        "trading_day",
        "command_id",
    ]
    return sha(b"\x00" + b"".join(p(row[name]) for name in names) + sha(salt + state))


def salt_of(secret: bytes, seq: int) -> bytes:
    return sha(secret + str(seq).encode())[:16]


def read(path: Any) -> LogContent:
    """Read a log and compute its leaves and its chain; nothing of the stored chain is used."""
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    meta = {row["key"]: row["value"] for row in db.execute("SELECT key, value FROM meta")}
    states = dict(db.execute("SELECT seq, state FROM events").fetchall())
    leaves, chain, last = [], [], sha(p(1) + p(meta["log_id"]))
    for row in db.execute("SELECT * FROM journal ORDER BY seq"):
        leaf = leaf_of(dict(row), states[row["seq"]], salt_of(meta["secret"], row["seq"]))
        last = sha(last + leaf)
        leaves.append(leaf)
        chain.append(last)
    db.close()
    return LogContent(meta["log_id"], leaves, chain)


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha(b"\x01" + root(leaves[:k]) + root(leaves[k:]))


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), root(leaves[k:])]
    return [*path(m - k, leaves[k:]), root(leaves[:k])]


def consistency(m: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*consistency(m, leaves[:k], whole), root(leaves[k:])]
    return [*consistency(m - k, leaves[k:], False), root(leaves[:k])]


def checked_note(note: str, verifier_key: str) -> tuple[str, int, bytes]:
    """Return log id, number of events and root of a note, after checking its signature."""
    name, key_id, content = verifier_key.strip().split("+", 2)
    key = base64.b64decode(content)
    assert key_id == sha(name.encode() + b"\n" + key).hex()[:8]
    assert key[0] == 1
    text, _, signatures = note.partition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, signature = line.split(" ")
        raw = base64.b64decode(signature)
        if (dash, signer, raw[:4].hex()) == ("—", name, key_id):
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[4:], text.encode())
            origin, events, top = text.splitlines()
            assert origin.startswith("oms_es/")
            return origin[len("oms_es/") :], int(events), base64.b64decode(top)
    raise AssertionError(f"not signed by {name}")


def folded(leaf: bytes, index: int, size: int, steps: list[bytes]) -> bytes:
    """Return the root to which an audit path leads, by the recursion that defines it."""
    if size == 1:
        assert steps == []
        return leaf
    k = split(size)
    *rest, last = steps
    if index < k:
        return sha(b"\x01" + folded(leaf, index, k, rest) + last)
    return sha(b"\x01" + last + folded(leaf, index - k, size - k, rest))


def checked_order(proof: dict[str, Any], verifier_key: str) -> int:
    """Check a proof of an order; return how many events it proves."""
    log_id, size, top = checked_note(proof["checkpoint"], verifier_key)
    assert (proof["version"], proof["format"], proof["log_id"]) == (1, 1, log_id)
    order = proof["order"]
    for version, event in enumerate(proof["events"], 1):
        assert event["originator_id"] == f"order/{order['account']}/{order['order_id']}"
        assert event["originator_version"] == version
        assert event["index"] == event["seq"] - 1
        leaf = leaf_of(event, base64.b64decode(event["state"]), bytes.fromhex(event["salt"]))
        steps = [base64.b64decode(each) for each in event["path"]]
        assert folded(leaf, event["index"], size, steps) == top
    assert proof["complete"] == {"stream_events": len(proof["events"])}
    return len(proof["events"])
