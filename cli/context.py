"""The place of a log and its settings, and a log that is open for queries."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

from oms_es.cli.progress import events_with_progress
from oms_es.cli.render import counted, print_message
from oms_es.engine.settings import Settings
from oms_es.errors import LogMissing
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.policies import first_method
from oms_es.queries.moments import Moments
from oms_es.queries.queries import Queries
from oms_es.vocabulary import CostMethod

SUFFIX = ".omsday"  # of a day archive


def print_quarantine_hint(count: int) -> None:
    """Print how many fills are in quarantine, if there are any."""
    if count:
        print_message(f"{counted(count, 'fill waits', 'fills wait')} in quarantine (oms quarantine)")


class Place(NamedTuple):
    """The log of a command, and its settings."""

    settings: Settings
    log: Path


def place(log: Path | None, config: Path | None) -> Place:
    """Return the log and the settings that the options, else the environment, else the settings name."""
    settings = Settings.find() if config is None else Settings.from_file(config)
    return Place(settings, log or Path(os.environ.get("OMS_LOG") or settings.log_path))


class OpenLog(NamedTuple):
    """An open log and its queries."""

    log: SqliteLog  # or an `ArchiveLog`, which has its methods for queries
    queries: Queries
    settings: Settings
    moments: Moments

    def first_method(self) -> CostMethod:
        """Return the cost method at the start of the log; a replay follows the log's policy from there."""
        return first_method(self.log, self.settings.policy.method)


@contextmanager
def open_log(
    log: Path | None,
    config: Path | None,
    timezone: str | None = None,
    *,
    cached: bool = True,
    archives: bool = False,
) -> Iterator[OpenLog]:
    """
    Open a log for queries; nothing is written. Times are in a zone; None: that of the log's trading day.

    Without `cached`, no cache beside the log is used. With `archives`, the path may be that of a day archive.

    Raises:
        LogMissing, NotALog, NewerLog, DamagedLog: the path has no log that can be read.
    """
    settings, path = place(log, config)
    if not path.exists():
        raise LogMissing(
            f"there is no log at {path}; name another with --log PATH or $OMS_LOG, or create one with oms import, "
            "oms submit or oms demo"
        )
    if archives and path.suffix == SUFFIX:
        from oms_es.audit.archive_log import ArchiveLog, ArchiveQueries  # noqa: PLC0415 - most queries read a log

        archive = ArchiveLog(path, events_with_progress)
        answers = ArchiveQueries(archive, settings.policy.method, events_with_progress)
        moments = Moments(answers, settings.policy, time.time_ns(), timezone)
        yield OpenLog(cast(SqliteLog, archive), answers, settings, moments)
        return
    opened = SqliteLog.existing(path)
    try:
        queries = Queries(opened, settings.policy.method, events_with_progress, cached=cached)
        yield OpenLog(opened, queries, settings, Moments(queries, settings.policy, time.time_ns(), timezone))
    finally:
        opened.close()
