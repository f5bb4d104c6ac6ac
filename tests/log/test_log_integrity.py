"""A log whose schema or rows others have changed: refused for writing, and no read gives a smaller answer."""

import logging
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from eventsourcing.persistence import InterfaceError, StoredEvent

from oms_es.cli import main
from oms_es.errors import DamagedLog, ForeignSchema, LogFileChanged, LogWriteFailed
from oms_es.log import LogFactory, reader
from oms_es.log.contract import new_row
from oms_es.log.insert import Keys, write
from oms_es.log.open_connections import open_reader, open_writer
from oms_es.log.schema_check import DECLARED, differences
from oms_es.log.sqlite import SqliteLog
from tests.desk import ADA, mark
from tests.tampering import LAST, READS, run, short_day, tampered


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short_day(tmp_path_factory.mktemp("made") / "day.db")


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """Return a closed log of a short day."""
    return Path(shutil.copy(made, tmp_path / "day.db"))


def oms(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command line; return exit code, output and messages."""
    before = sys.argv
    sys.argv = ["oms", *arguments]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = before
    found = capsys.readouterr()
    code = ended.value.code
    return code if isinstance(code, int) else 0, found.out, found.err


# --- the schema ---

FOREIGN = {
    "a trigger that drops events": "CREATE TRIGGER extra BEFORE INSERT ON events BEGIN SELECT RAISE(IGNORE); END",
    "a trigger that drops names": "CREATE TRIGGER extra BEFORE INSERT ON names BEGIN SELECT RAISE(IGNORE); END",
    "a trigger that drops streams": "CREATE TRIGGER extra BEFORE INSERT ON streams BEGIN SELECT RAISE(IGNORE); END",
    "a trigger after events": "CREATE TRIGGER extra AFTER INSERT ON events BEGIN DELETE FROM names; END",
    "a trigger on the view": "CREATE TRIGGER extra INSTEAD OF INSERT ON journal BEGIN SELECT 1; END",
    "a table": "CREATE TABLE extra(x)",
    "a table without rowid": "CREATE TABLE extra(x PRIMARY KEY) WITHOUT ROWID",
    "a view": "CREATE VIEW extra AS SELECT * FROM events",
    "an index": "CREATE INDEX extra ON events(recorded_at)",
    "an index of unique days": "CREATE UNIQUE INDEX extra ON events(seq, trading_day)",
    "an index on a name": "CREATE INDEX extra ON names(name)",
    "a table like one of the library": "CREATE TABLE stored_extra (originator_id TEXT)",
}
OURS = (
    "index events_command",
    "view journal",
    *(f"trigger {name}" for name in (
        "events_follow", "names_once", "streams_once", "meta_once", "events_no_update", "events_no_delete",
        "names_no_update", "names_no_delete", "streams_no_update", "streams_no_delete", "meta_no_update",
        "meta_no_delete",
    )),
)  # fmt: skip


def refused(path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Check that the log is refused for writing, naming what, that nothing is written, and that reading says so."""
    before = run(path, "SELECT * FROM events ORDER BY seq")
    with caplog.at_level(logging.WARNING, "oms_es"), closing(SqliteLog(path)) as log:
        with pytest.raises(ForeignSchema, match=rf"day\.db.*{name}"):
            log.append([mark("NEW")], log.head().seq)
        assert [each.seq for each in log.read()] == [row[0] for row in before]
    assert run(path, "SELECT * FROM events ORDER BY seq") == before
    said = [record.getMessage() for record in caplog.records if name in record.getMessage()]
    assert len(said) == 1, "once per open"


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_object_is_refused_for_writing_and_said_for_reading(
    path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    run(path, FOREIGN[what])

    refused(path, "extra", caplog)


@pytest.mark.parametrize("what", OURS)
def test_an_object_that_is_missing_or_changed_is_refused_for_writing(
    path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind, _, name = what.partition(" ")
    (table,) = run(path, f"SELECT tbl_name FROM sqlite_master WHERE name = '{name}'")[0]
    other = {
        "index": f"CREATE INDEX {name} ON {table}(chain)",
        "view": f"CREATE VIEW {name} AS SELECT 1 AS seq",
        "trigger": f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} BEGIN SELECT 1; END",
    }

    run(path, f"DROP {kind} {name}")
    refused(path, f"{name} is missing", caplog)
    run(path, other[kind])
    refused(path, f"{name} was changed", caplog)


@pytest.mark.parametrize("what", FOREIGN)
def test_an_object_that_comes_while_the_log_is_open_is_refused_too(path: Path, what: str) -> None:
    with closing(SqliteLog(path)) as log:
        seq = log.append([mark("X")], log.head().seq)
        run(path, FOREIGN[what])

        with pytest.raises(ForeignSchema, match="extra"):
            log.append([mark("NEW")], seq)
        run(path, *(f"DROP {kind} extra" for (kind,) in run(path, "SELECT type FROM sqlite_master WHERE name='extra'")))
        if "extra" not in " ".join(name for (name,) in run(path, "SELECT name FROM sqlite_master")):
            assert log.append([mark("NEW")], seq) == seq + 1


def test_what_sqlite_and_the_library_keep_beside_the_log_is_known(path: Path) -> None:
    environment = {"PERSISTENCE_MODULE": "oms_es.log", "SQLITE_DBNAME": str(path)}
    with closing(LogFactory(environment)) as factory:
        factory.tracking_recorder()
        factory.aggregate_recorder("snapshots")
        factory.process_recorder()
    run(path, "ANALYZE", "VACUUM")

    with closing(SqliteLog(path)) as log:
        assert log.append([mark("X")], log.head().seq)


def test_a_table_that_the_environment_names_is_accepted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(path, "CREATE TABLE counters(name TEXT PRIMARY KEY, counter INTEGER)", "CREATE INDEX more ON counters(counter)")
    monkeypatch.setenv(DECLARED, "other, counters")

    with closing(SqliteLog(path)) as log:
        assert log.append([mark("X")], log.head().seq)
    run(path, "CREATE INDEX evil ON events(chain)")
    with closing(SqliteLog(path)) as log, pytest.raises(ForeignSchema, match="evil"):
        log.append([mark("X")], log.head().seq)


def test_the_recorders_of_the_library_refuse_a_foreign_schema_too(path: Path) -> None:
    with closing(LogFactory({"PERSISTENCE_MODULE": "oms_es.log", "SQLITE_DBNAME": str(path)})) as factory:
        recorder = factory.application_recorder()
        stored = StoredEvent("s", 1, "topic", b"{}")
        assert recorder.insert_events([stored])
        run(path, FOREIGN["a trigger that drops events"])

        with pytest.raises(InterfaceError, match="extra"):
            recorder.insert_events([stored])


def test_every_connection_trusts_nothing_in_the_schema(path: Path) -> None:
    with closing(open_reader(path)) as reader, closing(open_writer(path)) as writer:
        assert reader.execute("PRAGMA trusted_schema").fetchone() == (0,)
        assert writer.execute("PRAGMA trusted_schema").fetchone() == (0,)


@pytest.mark.parametrize("table", ["events", "names", "streams"])
def test_a_row_that_was_not_inserted_is_noticed_before_the_commit(path: Path, table: str) -> None:
    with closing(SqliteLog(path)) as log:
        meta, head = log.meta(), log.head()
    assert meta is not None
    run(path, f"CREATE TRIGGER extra BEFORE INSERT ON {table} BEGIN SELECT RAISE(IGNORE); END")
    columns = new_row(mark("NEW"))
    new_name = (*columns[:9], "2030-01-01", columns[10])

    with closing(open_writer(path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogWriteFailed, match="insert"):
            write(writer, Keys(), [new_name], head, meta.secret)


def test_a_foreign_view_in_place_of_ours_changes_no_answer(path: Path) -> None:
    with closing(SqliteLog(path)) as log:
        before = list(log.rows())
    run(path, "DROP VIEW journal", "CREATE VIEW journal AS SELECT 1 AS seq")

    with closing(SqliteLog(path)) as log:
        assert list(log.rows()) == before


def test_the_command_line_says_that_a_schema_is_foreign(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(path, FOREIGN["a table"])

    code, out, err = oms(capsys, "positions", "--log", str(path))
    assert code == 0
    assert ADA in out
    assert err.count("extra") == 1
    code, _, err = oms(capsys, "mark", ADA, "11", "--log", str(path))
    assert code == 1
    assert "extra" in err


def test_our_own_script_is_no_difference(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path / "new.db")) as log:
        log.append([mark("X")], 0)
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        assert differences(connection) == []


# --- a row that is missing ---


@pytest.mark.parametrize("seq", [1, 2, 7, 12])
@pytest.mark.parametrize("name", READS)
def test_every_read_notices_a_missing_row(path: Path, name: str, seq: int) -> None:
    with closing(SqliteLog(path)) as log:
        assert log.head().seq == LAST
        READS[name](log)
        tampered(path, f"DELETE FROM events WHERE seq = {seq}")
        with pytest.raises(DamagedLog, match=rf"seq {seq}\b|missing"):
            READS[name](log)

    with closing(SqliteLog(path)) as log, pytest.raises(DamagedLog, match=rf"seq {seq}\b|missing"):
        READS[name](log)


def test_the_first_row_that_is_missing_is_named(path: Path) -> None:
    tampered(path, "DELETE FROM events WHERE seq = 1")

    with closing(SqliteLog(path)) as log, pytest.raises(DamagedLog, match=r"seq 1 is missing"):
        log.latest(0)


def test_a_long_filtered_read_notices_a_missing_row_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SHORT", 2)
    with closing(SqliteLog(path)) as log:
        assert list(log.read(topics={"FillAdded"}))
        begun = log.read(topics={"FillAdded"})
        next(begun)
        tampered(path, "DELETE FROM events WHERE seq = 12")
        run(path, "PRAGMA user_version = 2")

        with pytest.raises(DamagedLog, match="seq 12 is missing"):
            list(begun)
        with pytest.raises(DamagedLog, match="seq 12 is missing"):
            list(log.read(topics={"DayClosed"}))


def test_an_append_hides_no_missing_row_from_a_long_filtered_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SHORT", 2)
    with closing(SqliteLog(path)) as log, closing(SqliteLog(path)) as other:
        assert list(log.read(topics={"FillAdded"}))
        tampered(path, "DELETE FROM events WHERE seq = 12")
        other.append([mark("X")], LAST)

        with pytest.raises(DamagedLog, match="seq 12 is missing"):
            list(log.read(topics={"FillAdded"}))


@pytest.mark.parametrize("name", READS)
def test_an_open_log_whose_last_row_goes_is_an_error(path: Path, name: str) -> None:
    with closing(SqliteLog(path)) as log:
        log.head()
        tampered(path, f"DELETE FROM events WHERE seq = {LAST}")
        with pytest.raises((DamagedLog, LogFileChanged)):
            (READS[name](log), log.head())


def test_a_stream_whose_row_of_names_is_gone_is_an_error(path: Path) -> None:
    tampered(path, "DELETE FROM streams WHERE name = 'o-3'")

    with closing(SqliteLog(path)) as log, pytest.raises(DamagedLog, match="streams"):
        log.order_streams("o-3")


QUERIES = (
    ("positions",), ("orders",), ("fills",), ("pnl",), ("daily",), ("order", "o-2"), ("history", ADA), ("quarantine",),
    ("limits",), ("replay",), ("positions", "--at-seq", "12"), ("positions", "--as-of", "2030-01-01T00:00:00Z"),
    ("orders", "--known-at", "2030-01-01T00:00:00Z"), ("fills", "--symbol", ADA),
)  # fmt: skip


@pytest.mark.parametrize("seq", [5])
def test_no_query_of_the_command_line_answers_from_a_log_with_a_gap(
    path: Path, seq: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tampered(path, f"DELETE FROM events WHERE seq = {seq}")

    for query in QUERIES:
        code, out, err = oms(capsys, *query, "--log", str(path))
        assert (code, out) == (1, ""), query
        assert "missing" in err, query


def test_the_recorders_of_the_library_notice_a_missing_row_in_filtered_reads(path: Path) -> None:
    tampered(path, "DELETE FROM events WHERE seq = 8")
    with closing(LogFactory({"PERSISTENCE_MODULE": "oms_es.log", "SQLITE_DBNAME": str(path)})) as factory:
        recorder = factory.application_recorder()
        for options in ({"topics": ["PolicyChanged"]}, {"topics": ["FillAdded"]}, {}, {"stop": 8}):
            with pytest.raises(DamagedLog, match="seq 8 is missing"):
                recorder.select_notifications(1 if options != {"stop": 8} else 8, 100, **options)
