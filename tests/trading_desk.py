"""An OMS over a SQLite log with a clock that the test sets; the basis of every desk that works on a file."""

from pathlib import Path

from oms_es import OrderManagementSystem, Settings
from oms_es.log.sqlite import SqliteLog
from oms_es.timestamps import instant


class TradingDesk:
    """An OMS over the log at `path`; its clock shows `now` (ns UTC) until the test changes it."""

    def __init__(self, path: Path, now: int, settings: Settings | None = None, durability: str = "full") -> None:
        self.path, self.now, self.settings, self.durability = path, now, settings or Settings.default(), durability
        self.oms, self.log = self.opened()

    def opened(self) -> tuple[OrderManagementSystem, SqliteLog]:
        """Return an OMS over a log object of its own, as after a restart or in another process."""
        log = SqliteLog(self.path, durability=self.durability)
        return OrderManagementSystem(self.settings, log=log, clock=lambda: self.now), log

    def on(self, day: str, time: str = "10:00:00") -> OrderManagementSystem:
        """Set the clock to a time (UTC) of a day."""
        self.now = instant(f"{day}T{time}Z")
        return self.oms
