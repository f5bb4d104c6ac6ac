"""
The test suites that `eventsourcing` ships for persistence modules, run against ours on files.

The base classes are reached through their modules: a test case that stands in this one by name would be collected.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import TestCase, mock
from uuid import uuid4

import eventsourcing.tests.application as application_suite
import eventsourcing.tests.persistence as persistence_suite
import eventsourcing.tests.projection as projection_suite
import pytest
from eventsourcing.persistence import Mapper, Tracking
from eventsourcing.utils import Environment, get_topic

from oms_es.log import LogFactory
from oms_es.log.eventsourcing_adapter.datastore import LogDatastore
from oms_es.log.eventsourcing_adapter.recorders import (
    LogAggregateRecorder,
    LogApplicationRecorder,
    LogProcessRecorder,
    LogTrackingRecorder,
)
from tests.tampering import broken_links

STOCK_MAPPER = {"MAPPER_TOPIC": get_topic(Mapper)}  # the suites store aggregates of their own


class OnAFile(TestCase):
    """A log file that is there for one test, and whose chain holds when the test is over."""

    path: Path

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "oms.db"
        self.addCleanup(check_chain, self.path)
        super().setUp()

    def datastore(self) -> LogDatastore:
        datastore = LogDatastore(str(self.path), originator_id_type="uuid")
        self.addCleanup(datastore.close)
        return datastore

    def environment(self, **more: str) -> dict[str, str]:
        return {"PERSISTENCE_MODULE": "oms_es.log", "SQLITE_DBNAME": str(self.path), **STOCK_MAPPER, **more}


def check_chain(path: Path) -> None:
    assert broken_links(path) == []


# --- recorders ---


class OfOurs(OnAFile):
    """A suite of one recorder of ours."""

    recorder_class: Any
    arguments: tuple[str, ...] = ()

    def create_recorder(self) -> Any:
        recorder = self.recorder_class(self.datastore(), *self.arguments)
        recorder.create_table()
        return recorder


class TestSnapshotRecorder(OfOurs, persistence_suite.AggregateRecorderTestCase):
    recorder_class, arguments = LogAggregateRecorder, ("stored_snapshots",)


class TestApplicationRecorder(OfOurs, persistence_suite.ApplicationRecorderTestCase[LogApplicationRecorder]):
    recorder_class: type[LogApplicationRecorder] = LogApplicationRecorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithTextIds(TestApplicationRecorder):
    def new_originator_id(self) -> str:
        return f"order/default/{uuid4()}"

    def datastore(self) -> LogDatastore:
        datastore = LogDatastore(str(self.path))
        self.addCleanup(datastore.close)
        return datastore


class TestProcessRecorderAsApplicationRecorder(TestApplicationRecorder):
    recorder_class = LogProcessRecorder


class TestNonInterleavingNotificationIds(OfOurs, persistence_suite.NonInterleavingNotificationIDsBaseCase):
    recorder_class = LogApplicationRecorder


class TestTrackingRecorder(OfOurs, persistence_suite.TrackingRecorderTestCase):
    recorder_class = LogTrackingRecorder


class TestProcessRecorder(OfOurs, persistence_suite.ProcessRecorderTestCase):
    recorder_class = LogProcessRecorder


# --- the factory ---


class Subclassed(LogTrackingRecorder):
    pass


class TestFactory(persistence_suite.InfrastructureFactoryTestCase[LogFactory]):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        name = str(Path(folder.name) / "oms.db")
        self.env = Environment("TestCase", {"PERSISTENCE_MODULE": "oms_es.log", "SQLITE_DBNAME": name} | STOCK_MAPPER)
        super().setUp()

    def expected_factory_class(self) -> type[LogFactory]:
        return LogFactory

    def expected_aggregate_recorder_class(self) -> type[LogAggregateRecorder]:
        return LogAggregateRecorder

    def expected_application_recorder_class(self) -> type[LogApplicationRecorder]:
        return LogApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[LogTrackingRecorder]:
        return LogTrackingRecorder

    def tracking_recorder_subclass(self) -> type[LogTrackingRecorder]:
        return Subclassed

    def expected_process_recorder_class(self) -> type[LogProcessRecorder]:
        return LogProcessRecorder


# --- applications ---


class InTheEnvironment(OnAFile):
    """Every application of the test is on our module, for the process's environment says so."""

    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.dict(os.environ, self.environment())
        patch.start()
        self.addCleanup(patch.stop)


class TestExampleApplication(InTheEnvironment, application_suite.ExampleApplicationTestCase):
    expected_factory_topic = get_topic(LogFactory)


class TestApplication(InTheEnvironment, application_suite.ApplicationTestCase):
    # The test asks for a deprecated property and counts the warning it gets.
    @pytest.mark.filterwarnings("always:'log' is deprecated:DeprecationWarning")
    def test_application_log(self) -> None:
        super().test_application_log()


# --- projections ---


class EventCounters(LogTrackingRecorder, projection_suite.EventCountersView):
    """Two counters in the log's file, written together with how far they have counted."""

    def construct_create_table_statements(self) -> list[str]:
        counters = "CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, counter INTEGER) WITHOUT ROWID"
        return [*super().construct_create_table_statements(), counters]

    def get_created_event_counter(self) -> int:
        return self._counter("created")

    def get_subsequent_event_counter(self) -> int:
        return self._counter("subsequent")

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self._count("created", tracking)

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self._count("subsequent", tracking)

    def _counter(self, name: str) -> int:
        with self.datastore.transaction(commit=False) as c:
            c.execute("SELECT counter FROM counters WHERE name = ?", (name,))
            found = c.fetchone()
        return 0 if found is None else int(found["counter"])

    def _count(self, name: str, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as c:
            self._insert_tracking(c, tracking)
            c.execute(
                "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET counter = counter + 1", (name,)
            )


class TestEventCountersView(OnAFile, projection_suite.EventCountersViewTestCase):
    def construct_event_counters_view(self) -> EventCounters:
        view = EventCounters(self.datastore())
        view.create_table()
        return view


class TestAggregateEventCountersProjection(OnAFile, projection_suite.AggregateEventCountersProjectionTestCase):
    view_class = EventCounters

    def setUp(self) -> None:
        super().setUp()
        type(self).env = self.environment()


class TestEventSourcedProjection(OnAFile, projection_suite.EventSourcedProjectionTestCase):
    def setUp(self) -> None:
        super().setUp()
        type(self).env = self.environment(COUNTERS_SQLITE_DBNAME=str(self.path.with_name("counters.db")))
