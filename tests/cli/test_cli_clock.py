"""`oms clock` and `oms clock accept`."""

import time
from contextlib import closing
from pathlib import Path

from oms_es.log.sqlite import SqliteLog
from oms_es.timestamps import SECOND
from tests.cli.test_cli import Oms
from tests.desk import mark


def test_our_clock_is_accepted_after_an_event_from_the_future(tmp_path: Path) -> None:
    oms = Oms(tmp_path / "day.db")
    oms("mark X 1")
    assert "nothing to accept" in oms("clock accept").stderr
    with closing(SqliteLog(oms.log)) as log:
        log.append([mark(at=time.time_ns() + 3600 * SECOND)], log.head().seq)

    shown = oms("clock")
    refused = oms("submit X buy limit 100 1 --order-id o-1", code=1)
    accepted = oms("clock accept --reason drill --actor desk")
    oms("submit X buy limit 100 1 --order-id o-2")

    assert "if our clock is right: oms clock accept" in shown.stderr
    assert "CLOCK: our clock is 3600 s behind the log" in refused.stderr
    assert "accept it: oms clock accept" in refused.stderr
    assert "our clock is accepted" in accepted.stderr
    assert oms.json("clock")["ahead_seconds"] > 3500
    assert "ClockAccepted" in oms("tail --no-follow").stdout
