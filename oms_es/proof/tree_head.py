"""
The frontier of the Merkle tree over a log, with a cache beside the log.

The cache contains the frontier after some event, the chain value of that event, and a digest keyed with the secret of
the log. One that is missing or does not fit is computed again from the first event.
"""

import hmac
import json
from contextlib import suppress
from pathlib import Path

from oms_es.errors import LogError, LogMissing
from oms_es.files import create_private, replacing
from oms_es.log.schema import Meta
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.merkle import Frontier

EVERY = 1000  # a cache that is fewer events behind is not written again


def frontier_path(log: SqliteLog) -> Path:
    """Return the path of the cache."""
    return log.path.with_name(f"{log.path.name}.frontier")


def frontier_of(log: SqliteLog, until: int | None = None, *, cached: bool = True) -> tuple[str, Frontier]:
    """
    Return the id of the log, and the frontier of the tree over all its events, or over those up to the seq `until`.

    The chain of the events after the cached frontier is checked.

    Raises:
        DamagedLog: a row does not continue the hash chain; names its seq.
        LogMissing: the log has no event.
    """
    meta, last = log.meta(), log.head().seq
    if meta is None or not last:
        raise LogMissing(f"{log.path} has no event")
    last = last if until is None else until
    frontier = (_load(log, meta, last) if cached else None) or Frontier()
    begun = frontier.size
    frontier.extend(leaf for _, leaf in log.verified(begun, last))
    if cached and frontier.size - begun >= EVERY:
        save(log, frontier)
    return meta.log_id, frontier


def _load(log: SqliteLog, meta: Meta, last: int) -> Frontier | None:
    with suppress(OSError, ValueError, KeyError, TypeError, LogError):
        content = json.loads(frontier_path(log).read_bytes())
        body = content["frontier"]
        if hmac.compare_digest(_digest(body, meta.secret), content["digest"]):
            found = Frontier(body["size"], map(bytes.fromhex, body["hashes"]))
            if 0 < found.size <= last and log.chain_at(found.size) == body["chain"]:
                return found
    return None


def save(log: SqliteLog, frontier: Frontier) -> None:
    """Store a frontier as the cache; errors are ignored, because it can be computed again."""
    with suppress(LogError):
        meta = log.meta()
        if meta is None:
            return
        hashes = [each.hex() for each in frontier.hashes]
        body = {"size": frontier.size, "chain": log.chain_at(frontier.size), "hashes": hashes}
        with replacing(frontier_path(log)) as fresh:
            create_private(fresh)
            fresh.write_text(json.dumps({"frontier": body, "digest": _digest(body, meta.secret)}))


def _digest(body: object, secret: bytes) -> str:
    return hmac.new(secret, b"frontier" + json.dumps(body, sort_keys=True).encode(), "sha256").hexdigest()
