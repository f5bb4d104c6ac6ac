"""Problems of a log and the files beside it, each with advice; nothing is changed."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from msgspec import Struct, field

from oms_es.errors import LogBusy, LogError, LogReadOnly, NewerLog, NotALog
from oms_es.files import not_a_file
from oms_es.identifiers import escaped
from oms_es.log import room, schema, schema_check, use_mark
from oms_es.log.connections import Connection
from oms_es.log.decoding import read_head
from oms_es.log.hash_chain import Head
from oms_es.log.open_connections import open_reader
from oms_es.proof.verify import Verification, verify
from oms_es.timestamps import SECOND, iso

AHEAD = 5 * SECOND  # an event from further ahead of our clock than the default of day.max_clock_step
_MAGIC = b"SQLite format 3\0"
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"}


class Finding(Struct, frozen=True):
    """A problem, and advice."""

    problem: str
    advice: str


class Report(Struct):
    """The findings about a log, and its head if it can be read."""

    findings: list[Finding] = field(default_factory=list)
    events: int = 0
    chain: str | None = None  # hex


def examine(path: Path, now: int, check: Callable[[Path], Verification] = verify) -> Report:
    """
    Examine a log file and the files beside it.

    Args:
        path: the log.
        now: the time of this machine's clock, ns UTC.
        check: verifies the events.
    """
    nothing = _no_log(path)
    if nothing is not None:
        return Report([nothing])
    report = Report(list(_of_files(path)))
    try:
        with closing(open_reader(path)) as reader:
            report.findings += _of_content(path, reader, now)
            head = read_head(reader) or Head(0, b"", 0)
    except (LogError, sqlite3.Error) as error:
        report.findings.append(_unreadable(error))
        return report
    if head.seq:
        found = check(path)
        report.events, report.chain = found.events, found.head_chain
        if not found.is_sound:
            what = f"{path}: {found.kind or 'damaged'}: {found.detail}"
            report.findings.append(Finding(what, _SAVE))
    return report


_SAVE = (
    "keep the file as it is; restore the last backup (oms restore BACKUP --log NEW), or save the part before the "
    "damage (oms salvage DAMAGED -o NEW)"
)


def _no_log(path: Path) -> Finding | None:
    """Return why there is no log that could be examined."""
    ahead = Path(f"{os.path.realpath(path)}-wal")
    if not path.exists():
        if ahead.exists() and ahead.stat().st_size:
            return Finding(
                f"there is no log at {path}, but {ahead.name} has the last events of one",
                "move the log back beside it under this name; begin no new log here before that",
            )
        return Finding(
            f"there is no log at {path}",
            "name another with --log or $OMS_LOG, or restore a backup: oms restore BACKUP --log NEW",
        )
    if kind := not_a_file(path):
        return Finding(f"{path} is {kind}, not a log", "name a file with --log or $OMS_LOG")
    if not path.stat().st_size:
        return Finding(
            f"{path} is empty",
            "if commands were recorded in it, restore a backup; else delete it, the first command makes a log",
        )
    with path.open("rb") as file:
        begin = file.read(4096)
    if begin.startswith(_MAGIC):
        return None
    if not any(begin):
        return Finding(f"{path} begins with zeros: a disk or file system lost its content", _RESTORE)
    return Finding(f"{path} is not an SQLite database, so it is not a log", _RESTORE)


_RESTORE = "if it was a log, keep the file and restore the last backup: oms restore BACKUP --log NEW"


def _of_files(path: Path) -> Iterator[Finding]:
    """Yield problems of permissions, names, files beside the log, and the disk."""
    found = path.stat()
    if found.st_nlink > 1:
        yield Finding(
            f"{path} has {found.st_nlink} names (hard links)", "delete the others: a log is written only under one name"
        )
    if os.name != "nt" and stat.S_IMODE(found.st_mode) & 0o007:
        yield Finding(
            f"{path} can be read by every user (mode {stat.S_IMODE(found.st_mode):o})",
            f"chmod 600 {path}: it has a secret",
        )
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        yield Finding(
            f"{path}, or its folder, cannot be written by this user", "queries work; commands need write access"
        )
    for ending, tables in room.CACHES.items():
        cache = path.with_name(path.name + ending)
        if cache.is_file() and not room.is_ours(cache, tables):
            yield Finding(
                f"{cache} is no cache of oms: damaged, or a file of another program",
                "move it away; caches are made again from the log",
            )
    for left in sorted(path.parent.glob(f"{path.name}*.new-*")):
        yield Finding(
            f"{left} was left by a process that was killed", "delete it, unless a backup or restore is running"
        )
    journal = Path(f"{path}-journal")
    if journal.exists() and journal.stat().st_size:
        yield Finding(
            f"{journal} is the rollback journal of another program", "stop that program: a log is not its to write"
        )
    yield from _of_disk(path)


def _of_disk(path: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(path.parent).free
    if room.is_scarce(path.parent):
        yield Finding(
            f"the disk has {free // 2**20} MiB free", "make room: on a full disk no order is recorded, only a halt"
        )
    kind = _file_system(path)
    if kind in _NETWORK:
        yield Finding(
            f"{path} is on a network drive ({kind})",
            "move it to a local disk: SQLite's write-ahead log is not safe over a network",
        )


def _file_system(path: Path) -> str:
    """Return the type of the file system; "" where the system does not show it."""
    best, kind = -1, ""
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
            _, point, name, *_ = line.split()
            if path.resolve().is_relative_to(point) and len(point) > best:
                best, kind = len(point), name
    return kind


def _of_content(path: Path, reader: Connection, now: int) -> Iterator[Finding]:
    """Yield problems of the tables, the write-ahead log and the clock."""
    if schema.is_empty(reader):
        yield Finding(
            f"{path} contains no table", "it may have been copied without its -wal: copy again with oms backup"
        )
        return
    schema.read_meta(reader, str(path))
    if found := schema_check.differences(reader):
        yield Finding(
            f"{path} is read, but not written, because its schema is not that of a log: {', '.join(found)}",
            f"name your own tables in {schema_check.DECLARED}; oms salvage makes a log without what is foreign",
        )
    head = read_head(reader) or Head(0, b"", 0)
    if use_mark.lacks_ahead(reader, path):
        yield Finding(
            f"{path} was in use when it was copied or left, and has no write-ahead log beside it: it ends at seq "
            f"{head.seq}, and later events may be missing",
            "if it is a copy, copy again with oms backup; if its -wal was moved, move it back",
        )
    if head.recorded_at > now + AHEAD:
        yield Finding(
            f"the last event was recorded at {iso(head.recorded_at)}, {(head.recorded_at - now) // SECOND} s ahead of "
            "this clock: new orders are refused (CLOCK)",
            "set the clock of this machine; if it is right, oms clock accept continues from its time",
        )


def _unreadable(error: Exception) -> Finding:
    match error:
        case NewerLog():
            advice = "install a later release of oms_es"
        case LogReadOnly():
            advice = "check the permissions of the file and its folder"
        case LogBusy():
            advice = "find the process that holds the write lock, or try again"
        case NotALog():
            advice = "name another with --log; if this was a log, restore the last backup"
        case _:
            advice = _SAVE
    return Finding(escaped(str(error)), advice)
