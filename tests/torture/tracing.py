"""
Record the writes of a child process with strace, and rebuild the disk as a power cut could have left it.

The disk is modelled from below: a write is durable after an fsync of its file, a name after an fsync of its folder.
Everything else may be on the disk, missing, or torn into sectors of 512 bytes, in any combination.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.desk import ROOT

SECTOR = 512
CALLS = "openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink,rename"
_LINE = re.compile(r"^(\d+) +(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+|\?)")
_FD = re.compile(r"^(\d+)<([^>]*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Call:
    """One system call on a file below the watched folder, or an acknowledgement on standard output."""

    name: str  # open, write, truncate, sync, unlink, rename, ack
    path: str
    at: int = 0
    data: bytes = b""
    to: str = ""


def need_strace() -> None:
    """Skip the test where strace cannot trace: then it claims nothing."""
    found = shutil.which("strace")
    if found is None or subprocess.run([found, "-o", os.devnull, "true"], check=False).returncode:
        pytest.skip("strace is not here, or may not trace, so nothing is claimed about power cuts and kills")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def traced(code: str, folder: Path, *arguments: object) -> list[Call]:
    """Run a Python program that writes below `folder`, and return its calls in order."""
    trace = folder.with_name(f"{folder.name}.trace")
    command = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(trace)]
    done = subprocess.run(
        [*command, sys.executable, "-c", code, str(folder), *map(str, arguments)],
        check=False,
        env=environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    with trace.open(encoding="ascii") as lines:
        found = [call for line in _whole(lines) if (call := _parsed(line, str(folder))) is not None]
    trace.unlink()
    return found


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Yield each call in one line: one that another thread has interrupted is put together when it has returned."""
    begun: dict[str, str] = {}
    for line in lines:
        found = _LINE.match(line.rstrip("\n"))
        if found is None:
            continue
        pid, text = found.groups()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>").rstrip()
        elif text.startswith("<... "):
            yield begun.pop(pid) + text.partition(" resumed>")[2]
        else:
            yield text


def _parsed(text: str, folder: str) -> Call | None:
    found = _CALL.match(text)
    if found is None or found[3] in ("?", "-1"):
        return None
    name, arguments = found[1], found[2]
    texts = [bytes.fromhex(each.replace("\\x", "")) for each in _TEXT.findall(arguments)]
    on = _FD.match(arguments)
    path = _plain(on[2]) if on else ""
    if name == "write" and on and on[1] == "1":
        return Call("ack", "", data=texts[0])
    if name in ("openat", "unlink", "rename"):
        path = _absolute(texts[0].decode(), folder)
        if name == "openat" and "O_CREAT" not in arguments:
            return None
    if not (path == folder or path.startswith(f"{folder}/")) or path.endswith("-shm"):
        return None
    return _call(name, arguments, path, texts, folder)


def _call(name: str, arguments: str, path: str, texts: list[bytes], folder: str) -> Call:
    match name:
        case "openat":
            return Call("open", path)
        case "pwrite64":
            return Call("write", path, int(arguments.rsplit(", ", 1)[1]), texts[0])
        case "write":
            return Call("append", path, 0, texts[0])
        case "ftruncate":
            return Call("truncate", path, int(arguments.rsplit(", ", 1)[1]))
        case "unlink":
            return Call("unlink", path)
        case "rename":
            return Call("rename", path, to=_absolute(texts[1].decode(), folder))
        case _:
            return Call("sync", path)


def _plain(name: str) -> str:
    """Return a path that strace shows as \\x.. where it is told to show strings so."""
    return bytes.fromhex(name.replace("\\x", "")).decode() if name.startswith("\\x") else name


def _absolute(path: str, folder: str) -> str:
    return path if path.startswith("/") else f"{folder}/{path}"


# --- the disk ---


@dataclass
class File:
    """The content of a file that is durable, and what was written since its last fsync."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)
    size: int = 0  # with everything written, for writes at its end

    def sync(self) -> None:
        for call in self.pending:
            _apply(self.durable, call)
        self.pending.clear()


Choose = Callable[[Call], Iterator[Call]]


class Disk:
    """The files below a folder after a number of calls."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.names: dict[str, File] = {}  # durable names
        self.pending: list[tuple[str, str, File | None]] = []  # changes of names since the last fsync of the folder
        self._open: dict[str, File] = {}  # names as the process sees them

    def take(self, call: Call) -> None:
        """Carry out a call."""
        if call.name == "open":
            if call.path not in self._open:
                self._open[call.path] = made = File()
                self.pending.append(("set", call.path, made))
        elif call.name == "unlink":
            self._open.pop(call.path, None)
            self.pending.append(("unset", call.path, None))
        elif call.name == "rename":
            moved = self._open.pop(call.path)
            self._open[call.to] = moved
            self.pending += [("set", call.to, moved), ("unset", call.path, None)]
        elif call.name == "sync" and call.path == self._folder:
            for change in self.pending:
                self._change(self.names, *change)
            self.pending.clear()
        elif call.name != "ack" and (file := self._open.get(call.path)) is not None:
            self._write(file, call)

    @staticmethod
    def _write(file: File, call: Call) -> None:
        if call.name == "sync":
            file.sync()
            return
        if call.name == "append":
            call = Call("write", call.path, file.size, call.data)
        file.size = call.at if call.name == "truncate" else max(file.size, call.at + len(call.data))
        file.pending.append(call)

    @staticmethod
    def _change(names: dict[str, File], kind: str, path: str, file: File | None) -> None:
        if kind == "set":
            assert file is not None
            names[path] = file
        else:
            names.pop(path, None)

    def image(self, choose: Choose, chance: random.Random | None) -> dict[str, bytes]:
        """Return the files after a power cut now; `choose` gives the part of each pending write that is on the disk."""
        names = dict(self.names)
        kept = len(self.pending) if chance is None else chance.randint(0, len(self.pending))
        for change in self.pending[:kept]:  # a file system writes names in order
            self._change(names, *change)
        files = {}
        for path, file in names.items():
            content = bytearray(file.durable)
            for call in file.pending:
                for part in choose(call):
                    _apply(content, part)
            files[path] = bytes(content)
        return files


def _apply(content: bytearray, call: Call) -> None:
    if call.name == "truncate":
        del content[call.at :]
        content.extend(bytes(call.at - len(content)))
        return
    if len(content) < call.at:
        content.extend(bytes(call.at - len(content)))
    content[call.at : call.at + len(call.data)] = call.data


def nothing(_: Call) -> Iterator[Call]:
    """No write is on the disk that was not synced."""
    return iter(())


def everything(call: Call) -> Iterator[Call]:
    """Every write is on the disk."""
    yield call


def some(chance: random.Random) -> Choose:
    """Return a choice of whole writes, each with one probability."""
    share = chance.random()

    def choose(call: Call) -> Iterator[Call]:
        if chance.random() < share:
            yield call

    return choose


def torn(chance: random.Random) -> Choose:
    """Return a choice of sectors."""
    share = chance.random()

    def choose(call: Call) -> Iterator[Call]:
        if call.name == "truncate":
            if chance.random() < share:
                yield call
            return
        start = 0
        while start < len(call.data):
            end = min(len(call.data), SECTOR - (call.at + start) % SECTOR + start)
            if chance.random() < share:
                yield Call("write", call.path, call.at + start, call.data[start:end])
            start = end

    return choose
