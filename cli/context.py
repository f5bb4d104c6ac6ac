"""Opening a log: to ask it something, or to carry something out."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from oms_es import OrderManagementSystem
from oms_es.cli.progress import walked
from oms_es.cli.render import counted, print_message
from oms_es.engine.settings import Settings
from oms_es.errors import LogMissing
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.policies import first_method
from oms_es.queries.queries import Queries
from oms_es.vocabulary import CostMethod

T = TypeVar("T")


def print_quarantine_hint(count: int) -> None:
    """Point to the quarantine when something is in it."""
    if count:
        print_message(f"{counted(count, 'fill waits', 'fills wait')} in quarantine (oms quarantine)")


class Place(NamedTuple):
    """Which log a command is about, and under which settings."""

    settings: Settings
    log: Path


def place(log: Path | None, config: Path | None) -> Place:
    """Return where to look: what was given, else the environment, else the settings."""
    settings = Settings.find() if config is None else Settings.from_file(config)
    return Place(settings, log or Path(os.environ.get("OMS_LOG") or settings.log_path))


class OpenLog(NamedTuple):
    """An open log, and the questions to it."""

    log: SqliteLog
    queries: Queries
    settings: Settings

    def first_method(self) -> CostMethod:
        """Return the cost method that the log begins with; a fold follows its rules from there."""
        return first_method(self.log, self.settings.policy.method)


@contextmanager
def open_log(log: Path | None, config: Path | None) -> Iterator[OpenLog]:
    """
    Open a log to ask it; nothing is ever written.

    Raises:
        LogMissing, NotALog, NewerLog, DamagedLog: what stands there instead.
    """
    settings, path = place(log, config)
    if not path.exists():
        raise LogMissing(
            f"there is no log at {path}; --log PATH or $OMS_LOG names another, and oms import, oms submit or oms demo "
            "begins one"
        )
    opened = SqliteLog.existing(path)
    try:
        yield OpenLog(opened, Queries(opened, settings.policy.method, walked), settings)
    finally:
        opened.close()


def carry_out(
    log: Path | None,
    config: Path | None,
    act: Callable[[OrderManagementSystem], Awaitable[T]],
    tell: Callable[[T], None] = lambda _: None,
) -> T:
    """Open the log, do `act` with it, let go of it, tell what came of it, and return it."""
    settings, path = place(log, config)

    async def run() -> tuple[T, int]:
        async with OrderManagementSystem(settings, log=path) as oms:
            return await act(oms), len(oms.sequencer.state.orders.all_waiting())

    outcome, count = asyncio.run(run())
    tell(outcome)
    print_quarantine_hint(count)
    return outcome
