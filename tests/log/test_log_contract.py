"""What every log does, whatever holds it: the same tests over the log in memory and the log in a file."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_es.domain.envelope import Draft
from oms_es.domain.events import EVENTS, OrderSubmitted, StateChanged
from oms_es.errors import HeadMoved, LogError
from oms_es.log.codec import CODEC
from oms_es.log.contract import Log
from oms_es.log.hash_chain import StoredRow
from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from oms_es.vocabulary import OrderSide, OrderState, Origin
from tests.builders import table
from tests.desk import ADA, START, D, draft, mark


def in_memory(_: Path) -> MemoryLog:
    return MemoryLog("the log's own id", b"the log's secret")


def in_a_file(folder: Path) -> SqliteLog:
    return SqliteLog(folder / "day.db")


@pytest.fixture(params=[in_memory, in_a_file], ids=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    made: Log = request.param(tmp_path)
    yield made
    made.close()


def submitted(order_id: str, account: str = "default") -> Draft:
    order = OrderSubmitted(
        account=account, order_id=order_id, symbol=ADA, side=OrderSide.BUY, quantity=D(10), price=D("0.45")
    )
    return draft(order, f"submit {account} {order_id}")


def moved(order_id: str, new: OrderState = OrderState.PENDING, account: str = "default") -> Draft:
    change = StateChanged(account=account, order_id=order_id, old=OrderState.IDLE, new=new)
    return draft(change, None)


# --- what is written is read ---


def test_an_empty_log_has_head_0_and_nothing_to_read(log: Log) -> None:
    assert log.head().seq == 0
    assert log.head().recorded_at == 0
    assert list(log.read()) == []
    assert log.stream("market/X") == []
    assert log.command("c-1") == []


def test_what_was_appended_is_read_back_as_it_was_given(log: Log) -> None:
    drafts = [submitted("o-1"), moved("o-1"), mark("X", "1.5", "m-1")]

    log.append(drafts, 0)

    for given_, read in zip(drafts, log.read(), strict=True):
        for name in ("event", "origin", "occurred_at", "effective_at", "recorded_at", "trading_day", "command_id"):
            assert getattr(read, name) == getattr(given_, name)


def test_append_returns_the_seq_of_the_last_event(log: Log) -> None:
    assert log.append([submitted("o-1"), moved("o-1")], 0) == 2
    assert log.append([mark("X")], 2) == 3
    assert [each.seq for each in log.read()] == [1, 2, 3]


def test_seq_starts_at_1_and_has_no_gaps(log: Log) -> None:
    for head, count in ((0, 3), (3, 1), (4, 5)):
        log.append([mark("X", number) for number in range(count)], head)

    assert [each.seq for each in log.read()] == list(range(1, 10))


def test_a_failed_append_leaves_no_gap_behind(log: Log) -> None:
    log.append([mark("X")], 0)
    with pytest.raises(HeadMoved):
        log.append([mark("X"), mark("Y")], 0)

    log.append([mark("X")], 1)

    assert [(each.seq, each.originator_version) for each in log.read()] == [(1, 1), (2, 2)]


def test_the_head_is_the_last_event(log: Log) -> None:
    log.append([mark("X", at=START), mark("X", at=START + 7)], 0)

    head = log.head()

    assert (head.seq, head.recorded_at) == (2, START + 7)
    assert len(head.chain) == 32


def test_appending_nothing_changes_nothing(log: Log) -> None:
    log.append([mark("X")], 0)
    before = log.head()

    assert log.append([], 1) == 1
    assert log.head() == before


def test_times_and_origin_are_kept_exactly(log: Log) -> None:
    last = 2**63 - 1
    drafts = [
        mark("X", occurred_at=0, effective_at=0, recorded_at=1, origin=Origin.IMPORT),
        mark("X", occurred_at=5, effective_at=last, recorded_at=last, origin=Origin.EXTERNAL, trading_day="1999-12-31"),
    ]

    log.append(drafts, 0)

    assert [(r.occurred_at, r.effective_at, r.recorded_at, r.origin, r.trading_day) for r in log.read()] == [
        (0, 0, 1, Origin.IMPORT, "2025-06-16"),
        (5, last, last, Origin.EXTERNAL, "1999-12-31"),
    ]


def test_every_kind_of_event_comes_back_as_it_was(log: Log) -> None:
    stored_bodies = [row.values[0] for row in table("bodies")]
    events = [CODEC.decode(row["stream"], row["topic"], row["body"].encode()) for row in stored_bodies]
    assert {type(event) for event in events} == set(EVENTS)

    log.append([draft(event) for event in events], 0)

    assert [recorded.event for recorded in log.read()] == events


# --- all or nothing ---


@pytest.mark.parametrize("decided_on", [0, 1, 3, 99])
def test_an_append_decided_on_another_head_is_refused_whole(log: Log, decided_on: int) -> None:
    log.append([mark("X"), mark("X")], 0)
    before = log.head()

    with pytest.raises(HeadMoved, match="2"):
        log.append([mark("X"), mark("Y")], decided_on)

    assert log.head() == before
    assert log.stream("market/Y") == []


def test_a_draft_that_cannot_be_written_takes_the_whole_append_with_it(log: Log) -> None:
    log.append([mark("X")], 0)
    before = log.head()

    with pytest.raises(ValueError, match="surrogate"):
        log.append([mark("X"), mark("NEW"), mark("\ud800")], 1)

    assert log.head() == before
    assert log.stream("market/NEW") == []
    log.append([mark("X"), mark("NEW")], 1)
    assert [(each.seq, each.originator_version) for each in log.read(after=1)] == [(2, 2), (3, 1)]


def test_append_refuses_a_command_id_that_is_in_the_log(log: Log) -> None:
    log.append([mark("X", 1, "c-1")], 0)

    with pytest.raises(LogError):
        log.append([mark("X", 2, "c-2"), mark("X", 3, "c-1")], 1)

    assert log.head().seq == 1
    assert [each.seq for each in log.command("c-1")] == [1]
    assert log.command("c-2") == []


def test_an_append_under_a_lock_is_an_append(log: Log) -> None:
    log.unlock()
    log.lock()
    log.append([mark("X")], 0)
    log.lock()
    log.unlock()
    log.unlock()
    log.append([mark("X")], 1)

    assert [each.seq for each in log.read()] == [1, 2]


# --- streams ---


def test_versions_count_from_1_in_each_stream(log: Log) -> None:
    log.append([submitted("o-1"), moved("o-1"), submitted("o-2"), mark("X")], 0)
    log.append([moved("o-2"), moved("o-1", OrderState.WORKING), mark("X")], 4)

    versions = [(each.originator_id, each.originator_version) for each in log.read()]

    assert versions == [
        ("order/default/o-1", 1), ("order/default/o-1", 2), ("order/default/o-2", 1), ("market/X", 1),
        ("order/default/o-2", 2), ("order/default/o-1", 3), ("market/X", 2),
    ]  # fmt: skip


def test_a_stream_is_its_own_events_in_order(log: Log) -> None:
    log.append([submitted("o-1"), submitted("o-2"), moved("o-1"), mark("X"), moved("o-2")], 0)

    assert [each.seq for each in log.stream("order/default/o-1")] == [1, 3]
    assert log.stream("order/default/o-1") == [each for each in log.read() if each.originator_id == "order/default/o-1"]
    assert log.stream("order/default/o-3") == []


ODD_NAMES = (
    "a", "A", "a/b", "a//b", "/", "//", "order/default/a", "x'y\"z;--", "%_*?", "é", "e\u0301", "注文/一", "🂡",
    "\u202eabc", " a", "a ", "0", "00", "1e3", "n" * 128,
)  # fmt: skip


def test_streams_with_odd_names_are_never_mixed_up(log: Log) -> None:
    drafts = [mark(name) for name in ODD_NAMES] + [submitted(name) for name in ODD_NAMES]
    log.append(drafts, 0)
    log.append([mark(name) for name in ODD_NAMES], len(drafts))

    for name in ODD_NAMES:
        assert [type(r.event).__name__ for r in log.stream(f"order/default/{name}")] == ["OrderSubmitted"]
        marks = log.stream(f"market/{name}")
        assert [(r.originator_version, getattr(r.event, "symbol", None)) for r in marks] == [(1, name), (2, name)]
        assert log.order_streams(name) == [f"order/default/{name}"]
    assert [r.event.originator_id for r in log.read()] == [r.originator_id for r in log.read()]


def test_one_order_id_in_two_accounts_makes_two_streams(log: Log) -> None:
    log.append([submitted("o-1", "a"), submitted("o-1", "b"), moved("o-1", account="a")], 0)

    assert [each.seq for each in log.stream("order/a/o-1")] == [1, 3]
    assert [each.seq for each in log.stream("order/b/o-1")] == [2]
    assert [each.account for each in log.read()] == ["a", "b", "a"]
    assert (log.order_streams("o-1"), log.order_streams("o-2")) == (["order/a/o-1", "order/b/o-1"], [])


# --- commands ---


def test_a_command_is_its_first_event_and_those_that_follow_it(log: Log) -> None:
    log.append([mark("X"), submitted("o-1"), moved("o-1"), moved("o-1"), mark("X"), submitted("o-2")], 0)

    assert [each.seq for each in log.command("submit default o-1")] == [2, 3, 4]
    assert [each.seq for each in log.command("submit default o-2")] == [6]


ODD_COMMAND_IDS = (
    "c", "C", "007", "7", "fact:", "fact:00", "fact:0012abcdef", "fact:0012ABCDEF", "fact:0", "fact:zz", "fact:00 11",
    "Fact:00", "x'00'", "注文", "c" * 128,
)  # fmt: skip


def test_command_ids_are_found_as_they_were_given(log: Log) -> None:
    log.append([mark("X", number, name) for number, name in enumerate(ODD_COMMAND_IDS)], 0)

    assert [each.command_id for each in log.read()] == list(ODD_COMMAND_IDS)
    for number, name in enumerate(ODD_COMMAND_IDS, 1):
        assert [each.seq for each in log.command(name)] == [number]
    others = ["", "fact:0012AbCdEf", *(f"c-{number}" for number in range(1000))]
    assert log.known_commands([*others, *ODD_COMMAND_IDS]) == set(ODD_COMMAND_IDS)
    assert log.known_commands(others) == set()
    assert log.command("fact:0012AbCdEf") == []
    assert log.command("\x00") == []


def test_a_command_without_an_id_is_none_that_can_be_asked_for(log: Log) -> None:
    log.append([mark("X", 1, ""), mark("X", 2, None), mark("X", 3, "")], 0)

    assert [each.command_id for each in log.read()] == ["", None, ""]
    assert [each.begins_command for each in log.read()] == [True, False, True]
    assert log.command("") == []


# --- reading parts ---


def six(log: Log) -> list[str]:
    log.append([submitted("o-1"), moved("o-1"), mark("X"), submitted("o-2"), moved("o-2"), mark("X")], 0)
    return [type(each.event).__name__ for each in log.read()]


@pytest.mark.parametrize("cut", range(7))
def test_a_log_read_in_two_parts_is_the_log_read_in_one(log: Log, cut: int) -> None:
    six(log)

    assert [*log.read(until=cut), *log.read(after=cut)] == list(log.read())


@pytest.mark.parametrize(("after", "until", "seqs"), [
    (0, None, [1, 2, 3, 4, 5, 6]), (2, 4, [3, 4]), (4, 4, []), (5, 2, []), (6, None, []), (99, None, []),
    (4, 99, [5, 6]),
])  # fmt: skip
def test_read_returns_the_events_after_one_seq_and_up_to_another(
    log: Log, after: int, until: int | None, seqs: list[int]
) -> None:
    six(log)

    assert [each.seq for each in log.read(after, until)] == seqs


@pytest.mark.parametrize(("topics", "seqs"), [
    (["MarkRecorded"], [3, 6]), (["OrderSubmitted", "StateChanged"], [1, 2, 4, 5]), (["FillAdded"], []),
    (["never heard of"], []), ([], []),
])  # fmt: skip
def test_read_gives_only_the_topics_asked_for(log: Log, topics: list[str], seqs: list[int]) -> None:
    six(log)

    assert [each.seq for each in log.read(topics=topics)] == seqs
    assert [each.seq for each in log.read(2, 5, frozenset(topics))] == [seq for seq in seqs if 2 < seq <= 5]


def test_a_reader_that_stopped_half_way_does_not_hide_what_comes_after(log: Log) -> None:
    six(log)
    half_read = log.read()
    next(half_read)

    log.append([mark("X")], 6)

    assert log.head().seq == 7
    assert [each.seq for each in log.read(after=6)] == [7]
    assert next(half_read).seq == 2


# --- the chain ---


@dataclass(frozen=True)
class Stored:
    """What lies in a log, read without the product's own reading."""

    log_id: str
    secret: bytes
    rows: list[StoredRow]


def stored(log: Log) -> Stored:
    if isinstance(log, MemoryLog):
        return Stored("the log's own id", b"the log's secret", log.rows())
    assert isinstance(log, SqliteLog)
    connection = sqlite3.connect(log.path)
    try:
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        rows = connection.execute(
            """SELECT j.seq, j.originator_id, j.originator_version, j.topic, e.state, j.account, j.origin,
                      j.occurred_at, j.effective_at, j.recorded_at, j.trading_day, j.command_id, e.chain
               FROM journal j JOIN events e ON e.seq = j.seq ORDER BY j.seq"""
        )
        return Stored(meta["log_id"], meta["secret"], [StoredRow(*row) for row in rows])
    finally:
        connection.close()


def sized(value: str | int | None) -> bytes:
    if value is None:
        return b"\xff\xff\xff\xff"
    raw = str(value).encode()
    return len(raw).to_bytes(4, "big") + raw


def chains(found: Stored) -> Iterator[bytes]:
    """Yield the chain after each row, worked out again from the formula at the top of `oms_es/log/hash_chain.py`."""
    chain = sha256(sized(1) + sized(found.log_id)).digest()
    for row in found.rows:
        columns: list[str | int | None] = [*row[:4], *row[5:12]]  # all but the state and the chain
        salt = sha256(found.secret + str(row.seq).encode()).digest()[:16]
        leaf = sha256(b"\0" + b"".join(map(sized, columns)) + sha256(salt + row.state).digest()).digest()
        chain = sha256(chain + leaf).digest()
        yield chain


def test_the_chain_follows_from_what_is_stored(log: Log) -> None:
    six(log)
    odd = [mark(name, 1, f"fact:{number:04x}", effective_at=START + 1) for number, name in enumerate(ODD_NAMES)]
    log.append(odd, 6)

    found = stored(log)

    assert len(found.rows) == 6 + len(ODD_NAMES)
    assert [row.chain for row in found.rows] == list(chains(found))
    assert log.head().chain == found.rows[-1].chain


NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20)
MOMENTS = st.integers(0, 2**63 - 1)


@pytest.mark.parametrize("kind", [in_memory, in_a_file], ids=["memory", "sqlite"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(st.lists(st.tuples(NAMES, MOMENTS, MOMENTS), min_size=1, max_size=4), min_size=1, max_size=4))
def test_whatever_is_appended_in_whatever_parts_is_read_back_and_chained(
    tmp_path_factory: pytest.TempPathFactory,
    kind: Callable[[Path], MemoryLog | SqliteLog],
    appends: list[list[tuple[str, int, int]]],
) -> None:
    log = kind(tmp_path_factory.mktemp("log"))
    try:
        for batch in appends:
            log.append([mark(name, occurred_at=at, effective_at=to) for name, at, to in batch], log.head().seq)
        told = [each for batch in appends for each in batch]

        read = [(r.originator_id.removeprefix("market/"), r.occurred_at, r.effective_at) for r in log.read()]

        assert read == told
        assert [row.chain for row in stored(log).rows] == list(chains(stored(log)))
        for name in {name for name, _, _ in told}:
            versions = [r.originator_version for r in log.stream(f"market/{name}")]
            assert versions == list(range(1, len(versions) + 1))
    finally:
        log.close()
