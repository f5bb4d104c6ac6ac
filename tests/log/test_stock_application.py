"""A log of ours under a stock `eventsourcing` application: read by it, followed by it, written by it, safe with it."""

import asyncio
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import (
    ApplicationRecorder,
    ConnectionPoolClosedError,
    InfrastructureFactory,
    JSONTranscoder,
    Notification,
    OperationalError,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.projection import Projection, ProjectionRunner

from oms_es.domain.events import Event, FillAdded, MarkRecorded, OrderSubmitted, StateChanged
from oms_es.domain.order import Order, evolve
from oms_es.log import LogFactory
from oms_es.log.eventsourcing_adapter.mapper import InLog, LogMapper, in_log
from oms_es.log.eventsourcing_adapter.recorders import LogApplicationRecorder, LogTrackingRecorder
from oms_es.log.sqlite import SqliteLog
from oms_es.vocabulary import OrderState, Origin
from tests.desk import ADA, BUY, SELL, START, Clock, child, desk, mark, position_of, trade

APPEND = """
import sys
from oms_es.log.sqlite import SqliteLog
from tests.desk import mark
sys.stdin.readline()
log = SqliteLog(sys.argv[1])
log.append([mark("X", 7)], log.head().seq)
log.close()
"""
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held")
sys.stdin.readline()
"""


class Desk(Application[str]):
    """A stock application whose aggregates are our streams."""


class View(LogTrackingRecorder):
    """What was bought and sold, in memory; how far it has read is in the file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fills: list[str] = []
        self.others: list[str] = []


class Fills(Projection[View]):
    """A stock projection that tells our events apart by their class."""

    @singledispatchmethod
    def process_event(self, event: Event, tracking: Tracking) -> None:
        self.view.others.append(type(event).__name__)
        self.view.insert_tracking(tracking)

    @process_event.register
    def fill_added(self, fill: FillAdded, tracking: Tracking) -> None:
        assert isinstance(fill, InLog)
        assert fill.recorded is not None
        assert fill.recorded.seq == tracking.notification_id
        self.view.fills.append(f"{fill.side.value} {fill.fill_quantity}@{fill.fill_price} {fill.recorded.trading_day}")
        self.view.insert_tracking(tracking)


class OnlyFills(Fills):
    topics = ("FillAdded",)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bought_and_sold(tmp_path_factory.mktemp("made") / "day.db")


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """Return a log in which 100 ADA were bought at 10 and 40 sold at 12."""
    return Path(shutil.copy(made, tmp_path / "day.db"))


def bought_and_sold(path: Path) -> Path:
    async def day() -> None:
        async with desk(path) as oms:
            await trade(oms, "o-1", BUY, 100, 10)
            await trade(oms, "o-2", SELL, 40, 12)

    asyncio.run(day())
    return path


def environment(path: Path, **more: str) -> dict[str, str]:
    return {"PERSISTENCE_MODULE": "oms_es.log", "SQLITE_DBNAME": str(path), **more}


def append_mark(path: Path, price: int) -> None:
    with closing(SqliteLog(path)) as log:
        log.append([mark("X", price)], log.head().seq)


@contextmanager
def recorder_of(path: Path, **more: str) -> Iterator[LogApplicationRecorder]:
    with closing(LogFactory(environment(path, **more))) as factory:
        recorder = factory.application_recorder()
        assert isinstance(recorder, LogApplicationRecorder)
        yield recorder


@contextmanager
def following(recorder: LogApplicationRecorder, **since: Any) -> Iterator[Subscription[ApplicationRecorder]]:
    """Yield a subscription that ends after 20 seconds, so that a test whose wake-up is lost does not hang."""
    with recorder.subscribe(**since) as subscription:
        timer = threading.Timer(20, subscription.stop)
        timer.start()
        try:
            yield subscription
        finally:
            timer.cancel()
            timer.join()


@contextmanager
def projected(path: Path, projection: type[Fills] = Fills) -> Iterator[Any]:
    """Yield a runner of a stock projection over the log."""
    with ProjectionRunner(
        application_class=Desk, projection_class=projection, view_class=View, env=environment(path)
    ) as runner:
        yield runner


@contextmanager
def soon(work: Callable[..., object], *arguments: Any) -> Iterator[None]:
    """Do something in a thread a moment later, when the body waits for it."""
    timer = threading.Timer(0.1, work, arguments)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def stored(topic: str = "topic", version: int = 1, originator_id: UUID | str = "s") -> StoredEvent:
    return StoredEvent(originator_id, version, topic, b"{}")


def loaded(modules: Sequence[str]) -> list[str]:
    return [name for name in modules if name in sys.modules]


# --- reading ---


def test_a_stock_projection_follows_the_log_that_the_desk_writes(path: Path) -> None:
    with projected(path) as runner:
        runner.wait(runner.app.recorder.max_notification_id(), timeout=10)
        before = list(runner.view.fills)

        async def later() -> None:
            async with desk(path, Clock(START + 60_000_000_000)) as oms:
                await trade(oms, "o-3", SELL, 60, 11)

        asyncio.run(later())
        runner.wait(runner.app.recorder.max_notification_id(), timeout=10)

    assert before == ["buy 100@10 2025-06-16", "sell 40@12 2025-06-16"]
    assert runner.view.fills == [*before, "sell 60@11 2025-06-16"]
    assert runner.view.others.count("OrderSubmitted") == 3


def test_a_projection_of_one_topic_is_given_that_topic_only(path: Path) -> None:
    with projected(path, OnlyFills) as runner:
        with recorder_of(path) as recorder:
            last = recorder.select_notifications(None, 100, topics=["FillAdded"])[-1].id
        runner.wait(last, timeout=10)

    assert len(runner.view.fills) == 2
    assert runner.view.others == []


def test_a_projection_goes_on_where_it_was_when_it_stopped(path: Path) -> None:
    views = []
    for _ in range(2):
        with projected(path) as runner:
            runner.wait(runner.app.recorder.max_notification_id(), timeout=10)
            views.append(runner.view)

    assert len(views[0].fills) == 2
    assert views[1].fills == views[1].others == []


def test_the_repository_of_a_stock_application_folds_our_streams(path: Path) -> None:
    def folded(order: Any, events: Iterable[Any]) -> Any:
        for each in events:
            order = evolve(order, each.recorded.event, each.recorded.occurred_at, each.recorded.recorded_at, 0)
        return order

    with Desk(environment(path)) as app:
        order: Order = app.repository.get("order/default/o-1", projector_func=folded)
        early: Order = app.repository.get("order/default/o-1", version=2, projector_func=folded)

    assert (order.filled_quantity, order.state.value) == (Decimal(100), "filled")
    assert (early.filled_quantity, early.state.value) == (Decimal(0), "pending")


def test_an_event_of_the_repository_is_ours_and_has_its_seq_and_version(path: Path) -> None:
    with Desk(environment(path)) as app:
        events: list[Any] = list(app.events.get("order/default/o-1"))
        backwards: list[Any] = list(app.events.get("order/default/o-1", gt=1, lte=3, desc=True, limit=1))
    with closing(SqliteLog(path)) as log:
        recorded = log.stream("order/default/o-1")

    assert isinstance(events[0], OrderSubmitted)
    assert isinstance(events[1], StateChanged)
    assert [event.recorded for event in events] == recorded
    assert [event.originator_version for event in events] == [1, 2, 3, 4, 5]
    assert {event.originator_id for event in events} == {"order/default/o-1"}
    assert [event.originator_version for event in backwards] == [3]


def test_opening_a_log_writes_nothing_into_it(path: Path) -> None:
    with recorder_of(path) as recorder:
        recorder.max_notification_id()
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    assert tables == {"events", "meta", "names", "streams"}


def test_the_module_names_one_factory_whose_mapper_is_ours(path: Path) -> None:
    with closing(InfrastructureFactory[TrackingRecorder].construct(environment(path))) as factory:
        mapper: object = factory.mapper()

    assert type(factory) is LogFactory
    assert type(mapper) is LogMapper


def test_an_event_that_came_without_its_row_is_ours_as_well() -> None:
    mapper = LogMapper(JSONTranscoder())
    event = in_log(MarkRecorded(symbol="X", price=Decimal(1)), 3)

    copy: Any = mapper.to_domain_event(mapper.to_stored_event(event))

    assert copy == event
    assert isinstance(copy, MarkRecorded)
    assert isinstance(copy, InLog)
    assert (copy.originator_id, copy.originator_version, copy.recorded) == ("market/X", 3, None)


# --- following ---


def test_the_append_of_another_process_wakes_a_subscription(path: Path, tmp_path: Path) -> None:
    other = child(APPEND, path, cwd=tmp_path)
    with (
        recorder_of(path) as recorder,
        following(recorder, gt=recorder.max_notification_id()) as subscription,
        soon(other.communicate, "go\n"),
    ):
        found = next(subscription)
    assert other.returncode == 0
    assert (found.topic, found.originator_id) == ("MarkRecorded", "market/X")


def test_an_insert_through_the_same_recorder_wakes_a_subscription_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_es.log.eventsourcing_adapter.subscription.POLL_INTERVAL", 60)
    with (
        recorder_of(path) as recorder,
        following(recorder, gt=recorder.max_notification_id()) as subscription,
        soon(recorder.insert_events, [stored()]),
    ):
        found = next(subscription)
    assert found.topic == "topic"


def test_what_comes_while_a_long_log_is_read_is_handed_out_in_order_and_once(tmp_path: Path) -> None:
    with recorder_of(tmp_path / "long.db") as recorder, following(recorder) as subscription:
        recorder.insert_events([stored(version=version) for version in range(1, 1501)])
        found = [next(subscription).id for _ in range(700)]
        recorder.insert_events([stored(version=version) for version in range(1501, 1601)])
        found += [next(subscription).id for _ in range(900)]

    assert found == list(range(1, 1601))


def test_a_topic_that_never_comes_is_not_looked_for_twice_in_the_same_rows(path: Path) -> None:
    with recorder_of(path) as recorder, following(recorder, topics=["Later"]) as subscription:
        asked: list[int | None] = []
        select = recorder.select_notifications

        def counted(start: int | None, *rest: Any, **named: Any) -> Sequence[Notification]:
            asked.append(start)
            return select(start, *rest, **named)

        recorder.select_notifications = counted  # type: ignore[method-assign]
        with soon(recorder.insert_events, [stored("Later")]):
            assert next(subscription).topic == "Later"
    assert len(asked) == 2


def test_stopping_ends_the_wait_and_leaves_no_thread_behind(path: Path) -> None:
    before = set(threading.enumerate())
    with recorder_of(path) as recorder:
        subscription = recorder.subscribe(gt=recorder.max_notification_id())
        started = time.monotonic()
        with soon(subscription.stop), pytest.raises(StopIteration):
            next(subscription)
    assert time.monotonic() - started < 5
    assert set(threading.enumerate()) == before


def test_a_subscription_that_is_dropped_unread_keeps_nothing_open(path: Path) -> None:
    before = set(threading.enumerate())
    with recorder_of(path) as recorder:
        recorder.subscribe()
        held = next(recorder.subscribe())

        assert recorder.datastore.pool.num_in_use == 0
    assert held.id == 1
    assert set(threading.enumerate()) == before


# --- writing ---


def test_an_oms_applies_events_that_a_stock_application_saves(path: Path) -> None:
    clock = Clock(START + 60_000_000_000)
    oms = desk(path, clock)
    with Desk(environment(path)) as app:
        app.recorder.clock = clock  # type: ignore[attr-defined]
        (saved,) = app.save(in_log(MarkRecorded(symbol=ADA, price=Decimal(13)), 1))

    assert position_of(oms, ADA).unrealized_pnl == Decimal(180)  # 60 at 10 are worth 13
    (recorded,) = oms.log.stream(f"market/{ADA}")
    assert recorded.seq == saved.notification.id
    assert (recorded.account, recorded.origin, recorded.command_id) == ("", Origin.COMMAND, "")
    asyncio.run(oms.close())


def test_the_account_of_an_event_comes_from_the_event(path: Path) -> None:
    moved = StateChanged(account="desk-2", order_id="o-9", old=OrderState.IDLE, new=OrderState.PENDING)
    with Desk(environment(path)) as app:
        app.save(in_log(moved, 1))
    with closing(SqliteLog(path)) as log:
        (recorded,) = log.stream("order/desk-2/o-9")

    assert recorded.account == "desk-2"


def test_only_the_first_event_of_an_insert_begins_a_command(path: Path) -> None:
    with recorder_of(path) as recorder:
        first, *_ = recorder.insert_events([stored(version=1), stored(version=2), stored(version=3)]) or ()
    with closing(SqliteLog(path)) as log:
        rows = list(log.rows(after=first - 1))

    assert [row.command_id for row in rows] == ["", None, None]


def test_the_log_s_clock_never_runs_backwards(path: Path) -> None:
    with closing(SqliteLog(path)) as log:
        last = log.head().recorded_at
    with recorder_of(path) as recorder:
        recorder.clock = lambda: START - 1
        recorder.insert_events([stored()])
    with closing(SqliteLog(path)) as log:
        *_, row = log.rows()

    assert (row.occurred_at, row.effective_at, row.recorded_at, row.trading_day) == (last, last, last, "2025-06-16")


def test_a_uuid_is_kept_as_hex_text(tmp_path: Path) -> None:
    name = UUID("12345678123456781234567812345678")
    with recorder_of(tmp_path / "ids.db") as recorder:
        recorder.insert_events([stored(originator_id=name)])
        as_text = recorder.select_events(name)
    with recorder_of(tmp_path / "ids.db", ORIGINATOR_ID_TYPE="uuid") as recorder:
        as_uuid = recorder.select_events(name.hex)

    assert [event.originator_id for event in as_text] == [name.hex]
    assert [event.originator_id for event in as_uuid] == [name]


def test_a_stock_application_and_the_desk_may_begin_the_same_file(tmp_path: Path) -> None:
    with Desk(environment(tmp_path / "new.db")) as app:
        bought_and_sold(tmp_path / "new.db")

        assert len(list(app.events.get("order/default/o-2"))) == 5


def test_every_connection_of_a_recorder_syncs_each_commit_and_uses_a_write_ahead_log(path: Path) -> None:
    with recorder_of(path) as recorder, recorder.datastore.transaction(commit=False) as c:
        for name, value in (("synchronous", 2), ("journal_mode", "wal")):
            c.execute(f"PRAGMA {name}")
            assert c.fetchone()[0] == value


def test_a_lock_that_another_process_keeps_is_the_library_s_operational_error(path: Path, tmp_path: Path) -> None:
    with recorder_of(path, SQLITE_LOCK_TIMEOUT="1") as recorder:
        before = recorder.max_notification_id()
        other = child(HOLD, path, cwd=tmp_path)
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"

        with pytest.raises(OperationalError, match="locked"):
            recorder.insert_events([stored()])

        other.communicate("done\n")
        assert recorder.insert_events([stored()]) == [before + 1]


def test_closing_a_datastore_lets_transactions_finish_and_leaves_no_connection_open(path: Path) -> None:
    with recorder_of(path) as recorder:
        with recorder.datastore.transaction(commit=True) as c:
            recorder.datastore.close()
            c.execute("CREATE TABLE notes(text)")

        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            c.execute("SELECT 1")
        with pytest.raises(ConnectionPoolClosedError):
            recorder.max_notification_id()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
