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
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct

from oms_es.audit.replay import end_of_day
from oms_es.domain.envelope import Recorded
from oms_es.domain.policy import DECISION_RULES_VERSION
from oms_es.errors import InvalidNote, LogError, OmsError
from oms_es.files import not_a_file, replacing
from oms_es.identifiers import escaped, shown
from oms_es.log.contract import WrapRows, to_recorded, unwrapped
from oms_es.log.hash_chain import FORMAT, StoredRow, genesis, link, salt_of, salted_leaf
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.state_codec import decode_state, encode_state
from oms_es.projections.state import State
from oms_es.proof.anchor import Anchor, anchor_of, check_anchor
from oms_es.proof.keys import VerifierKey
from oms_es.vocabulary import CostMethod

SUFFIX = ".omsday"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of every member: the same day gives the same bytes
_MANIFEST, _OPENING, _ROWS = _MEMBERS = ("manifest.json", "opening.json", "rows.jsonl")
_ANCHOR = "anchor.json"
_MOST = 2**36  # bytes of the rows, which are never in memory together
_MOST_OF_ROW = 2**26
_MOST_OF_OPENING = 2**31
_MOST_OF_MANIFEST = 2**16
_MOST_RATIO = 40  # content compresses to about a tenth; what compresses to less than this is meant to fill memory
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


class ArchivedEvents:
    """The events of an archive; each iteration reads the file, and checks its chain again."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path, self._manifest = path, manifest

    def __iter__(self) -> Iterator[Recorded]:
        return map(to_recorded, self.rows())

    def rows(self) -> Iterator[StoredRow]:
        """Yield the rows as they were stored; raise `BadDayArchive` as `rows_with_leaves`."""
        return (row for row, _ in self.rows_with_leaves())

    def rows_with_leaves(self) -> Iterator[tuple[StoredRow, bytes]]:
        """
        Yield the rows as they were stored, each with its leaf.

        Raises:
            BadDayArchive: a row does not fit the chain, or the archive was changed; names the seq.
        """
        try:
            yield from self._checked()
        except _UNREADABLE as error:
            raise BadDayArchive(f"{self._path} is not a day archive: {escaped(str(error))}") from None

    def _checked(self) -> Iterator[tuple[StoredRow, bytes]]:
        path, manifest, digest = self._path, self._manifest, hashlib.sha256()
        try:
            chain, seq = bytes.fromhex(manifest.previous_chain), manifest.first_seq - 1
        except ValueError:
            raise BadDayArchive(f"{path}: the manifest names no chain") from None
        with zipfile.ZipFile(path) as archive, archive.open(_ROWS) as rows:
            for line in _lines(rows):
                digest.update(line)
                row, salt = _row(path, line)
                seq += 1
                try:
                    leaf = salted_leaf(row, salt)
                    chain = link(chain, leaf)
                except _UNREADABLE:
                    leaf = chain = b""
                if row.seq != seq or row.chain != chain:
                    raise BadDayArchive(f"{path}: seq {seq}: the row does not fit the chain")
                yield row, leaf
        if seq != manifest.last_seq or chain.hex() != manifest.chain:
            raise BadDayArchive(f"{path}: the rows end at seq {seq}, not at {manifest.last_seq} as packed")
        if digest.hexdigest() != manifest.rows:
            raise BadDayArchive(f"{path}: {_ROWS} is not as it was packed")


class DayArchive(Struct, frozen=True):
    """An archive that was read and checked."""

    manifest: Manifest
    opening: State
    events: ArchivedEvents
    anchor: Anchor | None = None

    def anchored(self, keys: Sequence[VerifierKey]) -> tuple[int, str | None]:
        """
        Return the events of the checkpoint to which the rows lead, and the name of the key that signed it.

        Raises:
            InvalidNote: there is no checkpoint in the archive, or it proves nothing about these rows.
        """
        if self.anchor is None:
            raise InvalidNote("the archive has no checkpoint")
        leaves = (leaf for _, leaf in self.events.rows_with_leaves())
        return check_anchor(self.anchor, self.manifest.log_id, self.manifest.first_seq, leaves, keys)


def pack(
    log: SqliteLog,
    trading_day: str,
    path: Path,
    method: CostMethod,
    code: str,
    checkpoints: Path | None = None,
    wrap: WrapRows = unwrapped,
) -> Manifest:
    """
    Pack a trading day into a file, with the first of the signed `checkpoints` that covers it, if there are any.

    Raises:
        NothingBooked: no event is booked on that day.
        LogError: the log or the file cannot be used.
        InvalidNote: no checkpoint covers the day.
    """
    meta = log.meta()
    if meta is None:
        raise NothingBooked(f"{log.path} holds no events")
    first, last = _span(log, trading_day)
    anchor = None if checkpoints is None else anchor_of(log, first, last, checkpoints)
    opening = State(method).replay(wrap(log.read(until=first - 1), first - 1))
    state = encode_state(opening)
    digest = hashlib.sha256()
    for row in wrap(log.rows(first - 1, last), last):
        digest.update(_packed(row, meta.secret))
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
        rows=digest.hexdigest(),
    )
    with replacing(path) as fresh, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
        _write(archive, _MANIFEST, [msgspec.json.format(msgspec.json.encode(manifest), indent=1)])
        _write(archive, _OPENING, [state])
        _write(archive, _ROWS, (_packed(row, meta.secret) for row in wrap(log.rows(first - 1, last), last)))
        if anchor is not None:
            _write(archive, _ANCHOR, [msgspec.json.encode(anchor)])
    return manifest


def _write(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes]) -> None:
    """Write a member part by part, so that a large day needs little memory."""
    member = zipfile.ZipInfo(name, _EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(member, "w") as file:
        for part in parts:
            file.write(part)


def _span(log: SqliteLog, trading_day: str) -> tuple[int, int]:
    last = end_of_day(log, trading_day)
    if not last:
        raise NothingBooked(f"no event is booked on {shown(trading_day)}")
    return log.first_of_day(trading_day), last


def _packed(row: StoredRow, secret: bytes) -> bytes:
    body = {**row._asdict(), "state": row.state.decode("utf-8", "surrogateescape"), "chain": row.chain.hex()}
    return json.dumps({**body, "salt": salt_of(row.seq, secret).hex()}, ensure_ascii=True).encode() + b"\n"


def unpack(path: Path, wrap: WrapRows = unwrapped) -> DayArchive:
    """
    Read an archive and check its digests and its chain; `wrap` wraps its rows, to show progress.

    Raises:
        BadDayArchive: it is not an archive, or not as it was packed; names the member, and the seq of a row.
    """
    if found := not_a_file(path):
        raise BadDayArchive(f"{path} is {found}, not a day archive")
    try:
        manifest, opening, anchor = _read(path)
    except _UNREADABLE as error:
        raise BadDayArchive(f"{path} is not a day archive: {escaped(str(error))}") from None
    if hashlib.sha256(opening).hexdigest() != manifest.opening:
        raise BadDayArchive(f"{path}: {_OPENING} is not as it was packed")
    try:
        state = decode_state(opening)
    except _UNREADABLE as error:
        raise BadDayArchive(
            f"{path}: {_OPENING} is not a state that this version reads: {escaped(str(error))}"
        ) from None
    if state.digest() != manifest.opening_state:
        raise BadDayArchive(f"{path}: the digest of the opening state is another than when it was packed")
    events, is_booked = ArchivedEvents(path, manifest), False
    for each in wrap(events, manifest.last_seq):
        is_booked |= each.trading_day == manifest.trading_day
    if not is_booked:
        raise BadDayArchive(f"{path}: no event in it is booked on {shown(manifest.trading_day)}")
    return DayArchive(manifest, state, events, anchor)


def _read(path: Path) -> tuple[Manifest, bytes, Anchor | None]:
    """Return the manifest, the opening state and the anchor; check the versions and the size of every member."""
    with zipfile.ZipFile(path) as archive:
        is_anchored = _ANCHOR in archive.namelist()
        members = (*_MEMBERS, _ANCHOR) if is_anchored else _MEMBERS
        for name, most in zip(members, (_MOST_OF_MANIFEST, _MOST_OF_OPENING, _MOST, _MOST_OF_MANIFEST), strict=False):
            member = archive.getinfo(name)
            if member.file_size > min(most, _MOST_RATIO * member.compress_size + _MOST_OF_MANIFEST):
                raise BadDayArchive(f"{path}: {name} is larger than any trading day needs")
        manifest = msgspec.json.decode(archive.read(_MANIFEST), type=Manifest)
        newest = {"box": _VERSION, "log_format": FORMAT, "rules": DECISION_RULES_VERSION}
        for name, known in newest.items():
            if (version := getattr(manifest, name)) > known:
                raise BadDayArchive(
                    f"{path} was packed by a later release ({name} {version}, known up to {known}): upgrade"
                )
        anchor = msgspec.json.decode(archive.read(_ANCHOR), type=Anchor) if is_anchored else None
        return manifest, archive.read(_OPENING), anchor


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(_MOST_OF_ROW):
        yield line


def _row(path: Path, line: bytes) -> tuple[StoredRow, bytes]:
    try:
        body: dict[str, Any] = json.loads(line)
        salt = bytes.fromhex(body.pop("salt"))
        body["state"] = body["state"].encode("utf-8", "surrogateescape")
        body["chain"] = bytes.fromhex(body["chain"])
        return StoredRow(**body), salt
    except _UNREADABLE as error:
        raise BadDayArchive(f"{path}: a row cannot be read: {escaped(str(error))}") from None
