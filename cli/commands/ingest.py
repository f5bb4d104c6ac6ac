"""`oms ingest`: commands and facts as JSON lines, answered in order when they are durable."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from oms_es import OrderManagementSystem
from oms_es.cli.ingest_lines import MOST_BYTES, accepted, carry_out, refused
from oms_es.cli.options import LogOptions
from oms_es.cli.render import counted, print_message, show
from oms_es.errors import LogError, OmsError
from oms_es.log.identity import STOPPING
from oms_es.queries.json_text import json_text

IN_FLIGHT = 1000  # lines that are read and not yet answered
PARTS = 4  # blocks of input that are read ahead
Lines = Annotated[Path, typer.Argument(metavar="[FILE]", help="JSON lines; standard input without it.")]


def ingest(file: Lines = Path("-"), *, options: LogOptions) -> None:
    """
    Carry out JSON lines; answer each when durable.

    A line is a command, {"command": "submit", ...} with the arguments of the Python API as its fields, a fact as in
    `oms import facts`, or a venue's report, {"report": {...}}. The answers are JSON lines on standard output, in the
    order of the input: {"line": 1, "ok": true, "order": ...}, or "ok": false with the error. Lines that are in flight
    together share a commit. The end of the input, SIGTERM and Ctrl-C end the command after every line that was read
    is answered.

    For example:

        oms ingest commands.jsonl
    """

    async def run(oms: OrderManagementSystem) -> _Ingest:
        with _source(file) as source:
            work = _Ingest(oms, source)
            await work.run()
        return work

    work = options.carry_out(run)
    print_message(f"{counted(work.lines, 'line')}: {work.lines - work.refused:,} accepted, {work.refused:,} refused")
    if work.fatal is not None:
        raise work.fatal


@contextmanager
def _source(file: Path) -> Iterator[BinaryIO]:
    if file == Path("-"):
        yield sys.stdin.buffer
    else:
        with file.open("rb") as opened:
            yield opened


class _Ingest:
    """The lines of one run: a thread reads them, the loop carries them out, and answers in order."""

    def __init__(self, oms: OrderManagementSystem, source: BinaryIO) -> None:
        self._oms = oms
        self._source = source
        self._parts: asyncio.Queue[list[bytes] | None] = asyncio.Queue()  # None: the end
        self._in_flight: asyncio.Queue[asyncio.Task[dict[str, Any]] | None] = asyncio.Queue(IN_FLIGHT)
        self._room = threading.Semaphore(PARTS)
        self._is_heard = True
        self.lines = 0
        self.refused = 0
        self.fatal: LogError | OSError | None = None  # the log cannot be written, or the input not read

    async def run(self) -> None:
        """Carry out every line until the end of the input or a signal."""
        loop = asyncio.get_running_loop()

        def deliver(lines: list[bytes] | None) -> None:
            loop.call_soon_threadsafe(self._parts.put_nowait, lines)

        threading.Thread(target=self._read, args=(deliver,), daemon=True).start()
        with _on_signal(loop, self._stop):
            starting = loop.create_task(self._start_all())
            try:
                await self._answer_all()
            finally:
                starting.cancel()

    def _stop(self) -> None:
        self._parts.put_nowait(None)

    def _read(self, deliver: Callable[[list[bytes] | None], None]) -> None:
        """Deliver complete lines, part by part; runs in a thread, because a read blocks."""
        read, rest = _reader(self._source), b""
        with suppress(RuntimeError):  # the loop has ended
            try:
                while part := read():
                    *lines, rest = (rest + part).split(b"\n")
                    rest = rest[: MOST_BYTES + 1]  # a longer line is refused when its end is read
                    self._room.acquire()
                    deliver(lines)
            except OSError as error:
                self.fatal = error
            deliver([rest] if rest and self.fatal is None else [])
            deliver(None)

    async def _start_all(self) -> None:
        """Queue the commands in the order of their lines, so that those in flight share a commit."""
        number = 0
        while (lines := await self._parts.get()) is not None:
            for line in lines:
                number += 1
                await self._in_flight.put(asyncio.create_task(self._carry_out(number, line)))
            self._room.release()
        await self._in_flight.put(None)

    async def _carry_out(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            return accepted(number, await carry_out(self._oms, line))
        except OmsError as error:
            self.refused += 1
            if isinstance(error, STOPPING) and self.fatal is None:
                self.fatal = error
                self._stop()
            return refused(number, error)

    async def _answer_all(self) -> None:
        ready: list[str] = []
        while True:
            if self._in_flight.empty():
                self._answer(ready)
            working = await self._in_flight.get()
            if working is None:
                break
            if not working.done():  # no answer that is ready waits for it
                self._answer(ready)
            ready.append(json_text(await working))
        self._answer(ready)

    def _answer(self, ready: list[str]) -> None:
        """Write answers, and forget them."""
        self.lines += len(ready)
        if ready and self._is_heard:
            try:
                show("\n".join(ready))
            except typer.Exit:  # the reader has closed the pipe
                self._is_heard = False
                self._stop()
        ready.clear()


def _reader(source: BinaryIO) -> Callable[[], bytes]:
    """Return a function that reads the available bytes; unbuffered, for a blocked thread would hold the lock."""
    try:
        return partial(os.read, source.fileno(), MOST_BYTES)
    except OSError:  # no file: a buffer in memory
        return partial(source.read, MOST_BYTES)


@contextmanager
def _on_signal(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM and Ctrl-C, where the platform and the thread allow it."""
    handled = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
