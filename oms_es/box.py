"""
A day as a box: one file with a slice of the log, its chain, and the state it opens with.

A zip of three members: `manifest.json` (what it is, and digests of the rest), `opening.json` (the state before the
first event), `rows.jsonl` (the rows as stored, each with the salt of its leaf and its chain). Replayed on another
machine it gives the same report and the same digest; a row that was changed on the way breaks its chain.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from oms_es.envelope import Recorded
from oms_es.errors import LogError, OmsError
from oms_es.identifiers import shown
from oms_es.log.contract import to_recorded
from oms_es.log.rows import FORMAT, Row, genesis, link, salt_of, salted_leaf
from oms_es.log.sqlite import SqliteLog
from oms_es.policy import RULES
from oms_es.projections.state import dumped, restored
from oms_es.projections.world import World
from oms_es.replay import closing_of
from oms_es.vocabulary import CostMethod

SUFFIX = ".omsday"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member: the same day gives the same bytes
_MAX_MEMBER = 4 * 2**30


class BadBox(LogError):
    """The file is no box, or it is not what was packed."""


class NothingBooked(OmsError, LookupError):
    """No event is booked on the day."""


class Manifest(Struct, frozen=True, kw_only=True):
    """What a box is."""

    box: int = 1
    log_format: int
    rules: int
    code: str
    log_id: str
    trading_day: str
    method: CostMethod
    first_seq: int
    last_seq: int
    previous_chain: str  # hex; of the row before the first
    chain: str  # hex; of the last row
    opening_state: str  # digest of the state, as `oms replay` shows it
    opening: str  # SHA-256 of the member
    rows: str


class Box(Struct, frozen=True):
    """A box that was opened and found whole."""

    manifest: Manifest
    opening: World
    events: list[Recorded]


def pack(log: SqliteLog, trading_day: str, path: Path, method: CostMethod, code: str) -> Manifest:
    """
    Pack a trading day into a file.

    Raises:
        NothingBooked: the log holds no event of that day.
        LogError: the log, or the file, cannot be used.
    """
    meta = log.meta()
    if meta is None:
        raise NothingBooked(f"{log.path} holds no events")
    first, last = _span(log, trading_day)
    opening = World(method).replay(log.read(until=first - 1))
    state = dumped(opening)
    rows = b"".join(_packed(row, meta.secret) for row in log.rows(first - 1, last))
    previous = genesis(meta.log_id).hex() if first == 1 else log.chain_at(first - 1)
    manifest = Manifest(
        log_format=FORMAT,
        rules=RULES,
        code=code,
        log_id=meta.log_id,
        trading_day=trading_day,
        method=method,
        first_seq=first,
        last_seq=last,
        previous_chain=str(previous),
        chain=str(log.chain_at(last)),
        opening_state=opening.digest(),
        opening=hashlib.sha256(state).hexdigest(),
        rows=hashlib.sha256(rows).hexdigest(),
    )
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box:
            for name, content in (
                ("manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1)),
                ("opening.json", state),
                ("rows.jsonl", rows),
            ):
                box.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise LogError(f"{path} cannot be written: {error.strerror}") from None
    return manifest


def _span(log: SqliteLog, trading_day: str) -> tuple[int, int]:
    seqs = [row.seq for row in log.rows() if row.trading_day == trading_day]
    if not seqs:
        raise NothingBooked(f"no event is booked on {shown(trading_day)}")
    return seqs[0], max(seqs[-1], closing_of(log, trading_day))


def _packed(row: Row, secret: bytes) -> bytes:
    body = {**row._asdict(), "state": row.state.decode("utf-8", "surrogateescape"), "chain": row.chain.hex()}
    return json.dumps({**body, "salt": salt_of(row.seq, secret).hex()}, ensure_ascii=True).encode() + b"\n"


def unpack(path: Path) -> Box:
    """
    Open a box and hold it to its digests and its chain.

    Raises:
        BadBox: it is none, or something in it is not what was packed; names the member, and the seq of a row.
    """
    try:
        with zipfile.ZipFile(path) as box:
            if any(member.file_size > _MAX_MEMBER for member in box.infolist()):
                raise BadBox(f"{path}: a member is larger than any day has reason to be")
            manifest = msgspec.json.decode(box.read("manifest.json"), type=Manifest)
            opening, rows = box.read("opening.json"), box.read("rows.jsonl")
    except (OSError, KeyError, zipfile.BadZipFile, msgspec.MsgspecError, EOFError) as error:
        raise BadBox(f"{path} is no box of a day: {error}") from None
    for name, content, digest in (("opening.json", opening, manifest.opening), ("rows.jsonl", rows, manifest.rows)):
        if hashlib.sha256(content).hexdigest() != digest:
            raise BadBox(f"{path}: {name} is not what was packed")
    try:
        world = restored(opening)
    except (msgspec.MsgspecError, KeyError, ArithmeticError) as error:
        raise BadBox(f"{path}: opening.json is no state that this version reads: {error}") from None
    if world.digest() != manifest.opening_state:
        raise BadBox(f"{path}: the opening state does not come to the digest it was packed with")
    return Box(manifest, world, list(_checked(path, rows, manifest)))


def _checked(path: Path, rows: bytes, manifest: Manifest) -> Iterator[Recorded]:
    chain, seq = bytes.fromhex(manifest.previous_chain), manifest.first_seq - 1
    for line in rows.splitlines():
        row, salt = _row(path, line)
        seq += 1
        chain = link(chain, salted_leaf(row, salt))
        if row.seq != seq or row.chain != chain:
            raise BadBox(f"{path}: seq {seq}: the row does not fit the chain")
        yield to_recorded(row)
    if seq != manifest.last_seq or chain.hex() != manifest.chain:
        raise BadBox(f"{path}: the rows end at seq {seq}, not at {manifest.last_seq} as packed")


def _row(path: Path, line: bytes) -> tuple[Row, bytes]:
    try:
        body: dict[str, Any] = json.loads(line)
        salt = bytes.fromhex(body.pop("salt"))
        body["state"] = body["state"].encode("utf-8", "surrogateescape")
        body["chain"] = bytes.fromhex(body["chain"])
        return Row(**body), salt
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadBox(f"{path}: a row cannot be read: {error}") from None
