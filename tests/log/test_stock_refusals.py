"""What a stock `eventsourcing` application is refused on our log: topics that name code, damage, foreign files."""

import os
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import InterfaceError, Notification

from oms_es.domain.events import MarkRecorded, StateChanged
from oms_es.errors import DamagedLog, InvalidInput, NotALog
from oms_es.log import LogFactory
from oms_es.log.eventsourcing_adapter.mapper import in_log
from oms_es.log.sqlite import SqliteLog
from oms_es.vocabulary import OrderState
from tests.log.test_stock_application import Desk, bought_and_sold, environment, loaded, projected, recorder_of, stored


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bought_and_sold(tmp_path_factory.mktemp("made") / "day.db")


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """Return a log in which 100 ADA were bought at 10 and 40 sold at 12."""
    return Path(shutil.copy(made, tmp_path / "day.db"))


@pytest.mark.parametrize("topic", [
    "os:system", "oms_es.api.oms:OrderManagementSystem", "oms_es.domain.events:FillAdded", "this:s",
    "antigravity:geohash",
])  # fmt: skip
def test_a_topic_that_names_code_is_refused_and_imports_nothing(path: Path, topic: str) -> None:
    with recorder_of(path) as recorder:
        (seq,) = recorder.insert_events([stored(topic)]) or ()

    with Desk(environment(path)) as app:
        (found,) = app.recorder.select_notifications(seq, 1)
        with pytest.raises(DamagedLog, match=f"seq {seq}: topic '{topic}' is unknown"):
            app.mapper.to_domain_event(found)
        with pytest.raises(DamagedLog, match=f"seq {seq}: "):
            list(app.events.get("s"))
        with pytest.raises(DamagedLog, match=f"seq 7: topic '{topic}' is unknown"):
            app.mapper.to_domain_event(Notification("s", 1, topic, b"{}", 7))
    with closing(SqliteLog(path)) as log, pytest.raises(DamagedLog, match=f"seq {seq}: topic '{topic}' is unknown"):
        list(log.read())

    assert loaded(["this", "antigravity"]) == []


def test_a_projection_stops_at_a_hostile_topic_and_says_where(path: Path) -> None:
    with recorder_of(path) as recorder:
        (seq,) = recorder.insert_events([stored("os:system")]) or ()

    unknown = f"seq {seq}: topic 'os:system' is unknown"
    with pytest.raises(DamagedLog, match=unknown), projected(path) as runner:
        runner.run_forever(timeout=20)

    assert len(runner.view.fills) == 2


@pytest.mark.parametrize("event", [
    Aggregate.Event(originator_id=UUID(int=1), originator_version=1, timestamp=Aggregate.Event.create_timestamp()),
    MarkRecorded(symbol="X", price=Decimal(1)),  # no domain event: it lacks the version
    in_log(MarkRecorded(symbol="X", price=1.5), 1),  # type: ignore[arg-type]
    in_log(MarkRecorded(symbol="X", price=Decimal("NaN")), 1),
    in_log(MarkRecorded(symbol=7, price=Decimal(1)), 1),  # type: ignore[arg-type]
    in_log(StateChanged(account="a/b", order_id="c", old=OrderState.IDLE, new=OrderState.PENDING), 1),
], ids=["an aggregate's", "no version", "a float", "not a number", "no text", "another's stream"])  # fmt: skip
def test_an_event_that_would_not_come_back_as_it_is_never_goes_in(path: Path, event: Any) -> None:
    with Desk(environment(path)) as app:
        before = app.recorder.max_notification_id()

        with pytest.raises(InvalidInput):
            app.events.put([event])

        assert app.recorder.max_notification_id() == before


@pytest.mark.parametrize("more", [{"COMPRESSOR_TOPIC": "zlib"}, {"CIPHER_KEY": "AAAAAAAAAAAAAAAAAAAAAA=="}])
def test_a_log_is_neither_compressed_nor_encrypted(path: Path, more: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="neither compressed nor encrypted"):
        Desk(environment(path, **more))


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "file:/tmp/x.db"])
def test_a_log_is_a_file_named_by_its_path(name: str) -> None:
    with pytest.raises(OSError, match="a log is a file, named by its path"):
        LogFactory({"SQLITE_DBNAME": name})


def test_a_database_that_is_no_log_is_refused_before_a_byte_of_it_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes(text)")
    before = path.read_bytes()

    with pytest.raises(InterfaceError, match="not a log of oms_es") as refusal:
        Desk(environment(path))

    assert isinstance(refusal.value.__cause__, NotALog)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["other.db"]


@pytest.mark.parametrize(("damage", "says"), [
    ("DELETE FROM events WHERE seq = 3", "seq 3 is missing"),
    ("UPDATE events SET topic = 999 WHERE seq = 3", "seq 3: a column is invalid"),
    ("UPDATE events SET state = 'text' WHERE seq = 3", "seq 3: a column is invalid"),
    ("UPDATE events SET occurred_at = 'now' WHERE seq = 3", "seq 3: a column is invalid"),
    ("UPDATE events SET chain = 7 WHERE seq = 3", "seq 3: a column is invalid"),
])  # fmt: skip
def test_select_notifications_stops_at_a_damaged_row(path: Path, damage: str, says: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER events_no_delete")
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute(damage)

    with recorder_of(path) as recorder, pytest.raises(DamagedLog, match=says):
        recorder.select_notifications(1, 10)
