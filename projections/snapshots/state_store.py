"""
Whole states in a cache beside the log, so that opening it or replaying a day need not begin at its first event.

Two kinds: `live`, the last state of a process (without completed orders that had left its memory), and `day`, the state
on which a trading day was closed. Each is checked against its own digest, keyed with the secret of the log, and against
the chain of the log, that of a closed day also against the digests in the log. Deleting the file costs time only.
"""

import hashlib
import sqlite3
import zlib
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path

from oms_es.domain.events import DayClosed
from oms_es.errors import LogError
from oms_es.log import codec, room
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.integrity import UNUSABLE, ForeignCache, create_beside, keyed_digest, refuse_foreign
from oms_es.projections.snapshots.state_codec import decode_state, encode_state
from oms_es.projections.state import State

LEAST = 20_000  # fewer events are not worth a state
MOST_DAYS = 3  # states of closed days in the cache
_TABLE = """
CREATE TABLE IF NOT EXISTS states(
  kind TEXT, seq INTEGER, made_by TEXT, chain TEXT, state BLOB, digest BLOB, PRIMARY KEY (kind, seq)
)
"""
_UNUSABLE = (*UNUSABLE, zlib.error, OSError)


def states_path(log: SqliteLog) -> Path:
    """Return the path of the cache of a log."""
    return log.path.with_name(log.path.name + ".states")


def save_state(log: SqliteLog, kind: str, state: State) -> None:
    """Store the committed state; errors are ignored, because it is a cache."""
    chain = log.chain_at(state.committed_seq)
    if chain is None or room.is_scarce(log.path.parent):
        return
    content = zlib.compress(encode_state(state), 1)
    row = (kind, state.committed_seq, _made_by(), chain)
    path = states_path(log)
    with suppress(*_UNUSABLE, ForeignCache), closing(_connect(log, path)) as states:
        states.execute("PRAGMA synchronous=OFF")
        states.execute("BEGIN IMMEDIATE")
        refuse_foreign(states, path, room.CACHES[".states"])
        states.execute(_TABLE)
        states.execute(
            "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?)", (*row, content, _digest(log, *row, content))
        )
        states.execute(
            "DELETE FROM states WHERE kind = ?1 AND seq NOT IN "
            "(SELECT seq FROM states WHERE kind = ?1 ORDER BY seq DESC LIMIT ?2)",
            (kind, MOST_DAYS if kind == "day" else 1),
        )
        states.execute("COMMIT")


def _connect(log: SqliteLog, path: Path) -> sqlite3.Connection:
    create_beside(log.path, path)
    return sqlite3.connect(path, timeout=0, isolation_level=None)


def load_state(log: SqliteLog, kind: str, before: int) -> State | None:
    """Return the latest state of a kind with seq < `before` that matches the log; None without one."""
    path = states_path(log)
    _made_by()  # before anything is folded, because the code on disk may change during the fold
    if not path.is_file():
        return None
    with (
        suppress(*_UNUSABLE, LogError),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as states,
    ):
        query = "SELECT * FROM states WHERE kind = ? AND seq < ? ORDER BY seq DESC"
        for _, seq, made_by, chain, content, digest in states.execute(query, (kind, before)):
            is_intact = digest == _digest(log, kind, seq, made_by, chain, content)
            if is_intact and made_by == _made_by() and log.chain_at(seq) == chain:
                state = decode_state(zlib.decompress(content))
                if kind != "day" or _is_as_closed(log, state):
                    return state
    return None


def _is_as_closed(log: SqliteLog, state: State) -> bool:
    """Return whether the next event closed a day with the digests of this state."""
    (following,) = log.read(state.committed_seq, state.committed_seq + 1)
    return isinstance(following.event, DayClosed) and following.event.digests == state.closing_digests()


@lru_cache(maxsize=1)
def _made_by() -> str:
    """Return a digest of our own code: another version might fold another state."""
    projections = Path(__file__).resolve().parents[1]
    package = Path(codec.__file__).resolve().parents[1]
    code = hashlib.sha256()
    below = (package / "domain", package / "log", projections)  # the packages that fold a log
    for path in sorted({*package.glob("*.py"), *(each for folder in below for each in folder.rglob("*.py"))}):
        code.update(path.name.encode() + b"\0" + path.read_bytes())
    return code.hexdigest()


def _digest(log: SqliteLog, kind: str, seq: int, made_by: str, chain: str, content: bytes) -> bytes:
    return keyed_digest(log, f"{kind}|{seq}|{made_by}|{chain}".encode(), content)
