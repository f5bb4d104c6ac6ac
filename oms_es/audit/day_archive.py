"""
A trading day as an archive: one file with a slice of the log, its chain, and the state before it.

A zip of three members: `manifest.json` (a description, and digests of the rest), `opening.json` (the state before the
first event), `rows.jsonl` (the rows as stored, each with the salt of its leaf and its chain). Replayed on another
machine it gives the same report and the same digest; a row that was changed on the way breaks its chain.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from oms_es.audit.replay import end_of_day
from oms_es.domain.envelope import Recorded
from oms_es.domain.policy import DECISION_RULES_VERSION
from oms_es.errors import LogError, OmsError
from oms_es.files import replacing
from oms_es.identifiers import escaped, shown
from oms_es.log.contract import to_recorded
from oms_es.log.hash_chain import FORMAT, StoredRow, genesis, link, salt_of, salted_leaf
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.state_codec import decode_state, encode_state
from oms_es.projections.state import State
from oms_es.vocabulary import CostMethod

SUFFIX = ".omsday"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of every member: the same day gives the same bytes
_MEMBERS = ("manifest.json", "opening.json", "rows.jsonl")
_MOST = 2**31  # bytes of a member: a day of ten million events
_MOST_OF_MANIFEST = 2**16
_MOST_RATIO = 100  # rows compress to about a tenth; content that compresses to a hundredth is meant to fill memory
_VERSION = 2  # of the opening state; version 1 had no books
# What damaged or hostile bytes can raise in zip, JSON and our own types.
_UNREADABLE = (
    OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError,
    NotImplementedError, zipfile.BadZipFile, zlib.error, msgspec.MsgspecError,
)  # fmt: skip


class BadDayArchive(LogError):
    """The file is not a day archive, or is not as it was packed."""


class NothingBooked(OmsError, LookupError):
    """No event is booked on the trading day."""


class Manifest(Struct, frozen=True, kw_only=True):
    """The description of an archive."""

    box: int = 1  # the version of its content
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


class DayArchive(Struct, frozen=True):
    """An archive that was read and checked."""

    manifest: Manifest
    opening: State
    events: list[Recorded]


def pack(log: SqliteLog, trading_day: str, path: Path, method: CostMethod, code: str) -> Manifest:
    """
    Pack a trading day into a file.

    Raises:
        NothingBooked: no event is booked on that day.
        LogError: the log or the file cannot be used.
    """
    meta = log.meta()
    if meta is None:
        raise NothingBooked(f"{log.path} holds no events")
    first, last = _span(log, trading_day)
    opening = State(method).replay(log.read(until=first - 1))
    state = encode_state(opening)
    rows = b"".join(_packed(row, meta.secret) for row in log.rows(first - 1, last))
    previous = genesis(meta.log_id).hex() if first == 1 else log.chain_at(first - 1)
    manifest = Manifest(
        box=_VERSION,
        log_format=FORMAT,
        rules=DECISION_RULES_VERSION,
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
    with replacing(path) as fresh, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
        content = (msgspec.json.format(msgspec.json.encode(manifest), indent=1), state, rows)
        for name, member in zip(_MEMBERS, content, strict=True):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), member, zipfile.ZIP_DEFLATED)
    return manifest


def _span(log: SqliteLog, trading_day: str) -> tuple[int, int]:
    last = end_of_day(log, trading_day)
    if not last:
        raise NothingBooked(f"no event is booked on {shown(trading_day)}")
    return log.first_of_day(trading_day), last


def _packed(row: StoredRow, secret: bytes) -> bytes:
    body = {**row._asdict(), "state": row.state.decode("utf-8", "surrogateescape"), "chain": row.chain.hex()}
    return json.dumps({**body, "salt": salt_of(row.seq, secret).hex()}, ensure_ascii=True).encode() + b"\n"


def unpack(path: Path) -> DayArchive:
    """
    Read an archive and check its digests and its chain.

    Raises:
        BadDayArchive: it is not an archive, or not as it was packed; names the member, and the seq of a row.
    """
    try:
        manifest, opening, rows = _read(path)
    except _UNREADABLE as error:
        raise BadDayArchive(f"{path} is not a day archive: {escaped(str(error))}") from None
    for name, content, digest in (("opening.json", opening, manifest.opening), ("rows.jsonl", rows, manifest.rows)):
        if hashlib.sha256(content).hexdigest() != digest:
            raise BadDayArchive(f"{path}: {name} is not as it was packed")
    try:
        state = decode_state(opening)
    except _UNREADABLE as error:
        raise BadDayArchive(
            f"{path}: opening.json is not a state that this version reads: {escaped(str(error))}"
        ) from None
    if state.digest() != manifest.opening_state:
        raise BadDayArchive(f"{path}: the digest of the opening state is another than when it was packed")
    events = list(_checked(path, rows, manifest))
    if all(each.trading_day != manifest.trading_day for each in events):
        raise BadDayArchive(f"{path}: no event in it is booked on {shown(manifest.trading_day)}")
    return DayArchive(manifest, state, events)


def _read(path: Path) -> tuple[Manifest, bytes, bytes]:
    with zipfile.ZipFile(path) as archive:
        for name in _MEMBERS:
            member = archive.getinfo(name)
            most = _MOST_OF_MANIFEST if name == "manifest.json" else _MOST
            if member.file_size > min(most, _MOST_RATIO * member.compress_size + _MOST_OF_MANIFEST):
                raise BadDayArchive(f"{path}: {name} is larger than any trading day needs")
        manifest = msgspec.json.decode(archive.read("manifest.json"), type=Manifest)
        newest = {"box": _VERSION, "log_format": FORMAT, "rules": DECISION_RULES_VERSION}
        for name, known in newest.items():
            if (version := getattr(manifest, name)) > known:
                raise BadDayArchive(
                    f"{path} was packed by a later release ({name} {version}, known up to {known}): upgrade"
                )
        return manifest, archive.read("opening.json"), archive.read("rows.jsonl")


def _checked(path: Path, rows: bytes, manifest: Manifest) -> Iterator[Recorded]:
    try:
        chain, seq = bytes.fromhex(manifest.previous_chain), manifest.first_seq - 1
    except ValueError:
        raise BadDayArchive(f"{path}: the manifest names no chain") from None
    for line in rows.splitlines():
        row, salt = _row(path, line)
        seq += 1
        try:
            chain = link(chain, salted_leaf(row, salt))
        except _UNREADABLE:
            chain = b""
        if row.seq != seq or row.chain != chain:
            raise BadDayArchive(f"{path}: seq {seq}: the row does not fit the chain")
        yield to_recorded(row)
    if seq != manifest.last_seq or chain.hex() != manifest.chain:
        raise BadDayArchive(f"{path}: the rows end at seq {seq}, not at {manifest.last_seq} as packed")


def _row(path: Path, line: bytes) -> tuple[StoredRow, bytes]:
    try:
        body: dict[str, Any] = json.loads(line)
        salt = bytes.fromhex(body.pop("salt"))
        body["state"] = body["state"].encode("utf-8", "surrogateescape")
        body["chain"] = bytes.fromhex(body["chain"])
        return StoredRow(**body), salt
    except _UNREADABLE as error:
        raise BadDayArchive(f"{path}: a row cannot be read: {escaped(str(error))}") from None
