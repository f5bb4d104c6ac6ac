"""A log file that vanishes, a writer that stops, a loop that is closed, a fork, another user: errors, and no loss."""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oms_es import OrderManagementSystem
from oms_es.errors import LogFileChanged, LogMissing, LogWriteUncertain, OpenedInOtherProcess
from oms_es.log import LogFactory, open_connections
from oms_es.log.connections import connect
from oms_es.log.open_connections import open_writer
from oms_es.log.sqlite import SqliteLog
from tests.desk import ROOT, Gate, Watched, child, desk, mark, submit
from tests.tampering import LAST, READS, run, short_day

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short_day(tmp_path_factory.mktemp("made") / "day.db")


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """Return a closed log of a short day."""
    return Path(shutil.copy(made, tmp_path / "day.db"))


# --- the file ---


def test_a_log_that_was_deleted_before_the_first_append_is_not_made_anew(path: Path) -> None:
    with closing(SqliteLog(path)) as log:
        seq = log.head().seq
        path.unlink()

        with pytest.raises(LogFileChanged, match="deleted"):
            log.append([mark("X")], seq)
        with pytest.raises(LogFileChanged, match="deleted"):
            log.head()
    assert not path.exists()


@pytest.mark.parametrize("name", READS)
def test_a_reader_does_not_answer_from_a_file_that_was_replaced(path: Path, tmp_path: Path, name: str) -> None:
    with closing(SqliteLog(path)) as log, closing(SqliteLog(tmp_path / "other.db")) as other:
        READS[name](log)
        other.append([mark("X")], 0)
        other.close()
        os.replace(tmp_path / "other.db", path)

        with pytest.raises(LogFileChanged, match="replaced"):
            READS[name](log)


def test_a_log_that_was_overwritten_in_its_place_is_another_history(path: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.db"
    shutil.copy(path, earlier)
    with closing(SqliteLog(path)) as log:
        log.append([mark("X")], LAST)
    reader = SqliteLog(path)
    assert reader.head().seq == LAST + 1
    with path.open("r+b") as file:
        file.write(earlier.read_bytes())
        file.truncate()
    run(path, "PRAGMA user_version = 1")  # whoever writes next tells the other connections

    with pytest.raises(LogFileChanged, match="another history"):
        reader.head()
    reader.close()


def test_a_log_with_two_names_is_read_and_not_written(path: Path, tmp_path: Path) -> None:
    os.link(path, tmp_path / "second")

    with closing(SqliteLog(path)) as log:
        assert log.head().seq == LAST
        with pytest.raises(LogFileChanged, match="2 names"):
            log.append([mark("X")], LAST)

        (tmp_path / "second").unlink()
        with pytest.raises(LogFileChanged, match="2 names"):
            log.append([mark("X")], LAST)
        with pytest.raises(LogFileChanged, match="2 names"):
            log.lock()
    with closing(SqliteLog(path)) as log:
        assert log.append([mark("X")], LAST)


def test_no_log_is_begun_beside_the_write_ahead_log_of_another(path: Path) -> None:
    log = SqliteLog(path)
    log.append([mark("X")], LAST)
    shutil.copy(f"{path}-wal", path.with_name("kept"))
    log.close()
    path.unlink()
    path.with_name("kept").rename(f"{path}-wal")

    with closing(SqliteLog(path)) as begun, pytest.raises(LogMissing, match="wal"):
        begun.append([mark("X")], 0)
    assert Path(f"{path}-wal").stat().st_size


def test_the_folder_of_the_process_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with closing(SqliteLog("day.db")) as log:
        log.append([mark("X")], 0)
        monkeypatch.chdir(tmp_path / "elsewhere")
        log.append([mark("X")], 1)
        assert log.head().seq == 2
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_link_to_a_log_is_the_log_until_it_names_another(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with closing(SqliteLog(link)) as log:
        log.append([mark("X")], LAST)
        log.append([mark("X")], LAST + 1)
        link.unlink()
        link.symlink_to(tmp_path / "other.db")

        with pytest.raises(LogFileChanged):
            log.append([mark("X")], LAST + 2)


def test_the_removal_of_the_write_ahead_log_loses_nothing_that_was_acknowledged(path: Path) -> None:
    log = SqliteLog(path)
    log.append([mark("X")], LAST)
    Path(f"{path}-wal").unlink()

    with pytest.raises(LogFileChanged, match="removed"):
        log.append([mark("X")], LAST + 1)

    shutil.copy(path, path.with_name("copy.db"))  # as if the process was killed here
    with closing(SqliteLog(path.with_name("copy.db"))) as copy:
        assert copy.head().seq == LAST + 1
    log.close()


# --- after the writer has stopped ---


def test_a_writer_that_has_stopped_refuses_everything_until_the_log_is_opened_again(path: Path) -> None:
    inner = Watched(SqliteLog(path))

    async def session() -> None:
        oms = desk(inner)
        before = oms.get_all_orders()

        def fails() -> None:
            raise LogWriteUncertain("the outcome is unknown")

        inner.after = fails
        with pytest.raises(LogWriteUncertain):
            await submit(oms, "o-4")
        inner.after = lambda: None
        for _ in range(2):
            with pytest.raises(LogWriteUncertain, match="stopped"):
                await submit(oms, "o-5")
            with pytest.raises(LogWriteUncertain, match="stopped"):
                await submit(oms, "o-3", command_id="c-3")  # it would be answered without an append
        assert oms.get_all_orders() == before
        await oms.close()

    asyncio.run(session())

    async def again() -> None:
        async with desk(path) as oms:
            seq = oms.log.head().seq
            await submit(oms, "o-4")
            assert oms.log.head().seq == seq, "it was in the log, and is told so"

    asyncio.run(again())


def test_an_unknown_outcome_is_not_hidden_by_a_cancellation(path: Path) -> None:
    inner, gate = Watched(SqliteLog(path)), Gate()

    def fails() -> None:
        gate()
        raise LogWriteUncertain("the outcome is unknown")

    async def session() -> None:
        oms = desk(inner)
        inner.after = fails
        asked = asyncio.create_task(submit(oms, "o-4"))
        assert await asyncio.to_thread(gate.reached.wait, 20)
        draining = oms.sequencer._draining
        assert draining is not None
        threading.Timer(0.1, gate.opened.set).start()
        draining.cancel()
        with pytest.raises(LogWriteUncertain):
            await asked
        with pytest.raises(LogWriteUncertain):
            await submit(oms, "o-5")
        await oms.close()

    asyncio.run(session())


# --- a loop that was closed ---


def closed_during_an_append(oms: OrderManagementSystem, gate: Gate) -> None:
    """Submit an order in a loop that is closed while the append is under way, without another word."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(submit(oms, "o-4"))
    while not gate.reached.is_set():
        loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()
    assert not task.done()


@pytest.mark.parametrize("durable", [True, False])
def test_a_loop_closed_in_the_middle_of_a_command_leaves_no_stale_view(path: Path, *, durable: bool) -> None:
    inner, gate = Watched(SqliteLog(path)), Gate()
    oms = desk(inner)
    assert oms.get_order("o-4") is None
    if durable:
        inner.after = gate
    else:
        inner.before = gate

    closed_during_an_append(oms, gate)

    threading.Timer(0.2, gate.opened.set).start()
    assert oms.get_order("o-4") is not None  # durable by the time that the question is answered
    assert len(oms.get_all_orders()) == 4
    inner.after, inner.before = (lambda: None), (lambda *_: None)
    asyncio.run(submit(oms, "o-5"))
    assert len(oms.get_all_orders()) == 5
    asyncio.run(oms.close())


# --- a forked child ---


def in_a_child(work: Callable[[], object]) -> str:
    """Return the error that `work` meets in a forked child that ends as any program does."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            said = "no error"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return said


def test_a_forked_child_gets_an_error_and_leaves_the_log_alone(path: Path) -> None:
    oms = desk(path)
    asyncio.run(submit(oms, "o-4"))
    log = oms.log
    assert isinstance(log, SqliteLog)
    works: list[Callable[[], object]] = [
        oms.get_all_orders, oms.positions, lambda: asyncio.run(submit(oms, "o-5")), log.head,
        lambda: list(log.read()), lambda: log.append([mark("X")], 0), log.lock,
    ]  # fmt: skip

    for work in works:
        assert in_a_child(work).startswith(f"{OpenedInOtherProcess.__name__}: ")
    assert in_a_child(oms.sequencer.close) == "no error"
    assert in_a_child(log.close) == "no error"

    assert Path(f"{path}-wal").stat().st_size
    asyncio.run(submit(oms, "o-5"))
    assert len(oms.get_all_orders()) == 5
    asyncio.run(oms.close())


FORKING = """
import asyncio, os, sys
from tests.desk import desk, submit
oms = desk(sys.argv[1])
asyncio.run(submit(oms, "o-4"))
oms.get_all_orders()
if os.fork() == 0:
    sys.exit(0)  # everything is torn down, and all that was inherited
os.wait()
ahead = os.stat(sys.argv[1] + "-wal")
asyncio.run(submit(oms, "o-5"))
print(len(oms.get_all_orders()), ahead.st_size > 0, os.stat(sys.argv[1] + "-wal").st_ino == ahead.st_ino)
asyncio.run(oms.close())
"""


def test_a_forked_child_that_ends_closes_nothing_of_its_parent(path: Path) -> None:
    with child(FORKING, path, cwd=path.parent) as process:
        out, err = process.communicate(timeout=60)

    assert (out.split(), err) == (["5", "True", "True"], "")


def test_a_forked_child_gets_an_error_from_the_recorders_of_the_library(path: Path) -> None:
    with closing(LogFactory({"PERSISTENCE_MODULE": "oms_es.log", "SQLITE_DBNAME": str(path)})) as factory:
        recorder = factory.application_recorder()
        recorder.max_notification_id()

        assert "process" in in_a_child(recorder.max_notification_id)
        assert in_a_child(factory.close) == "no error"
        assert recorder.max_notification_id() == LAST


# --- another user ---

ASKING = """
import os, sys
from oms_es.log.sqlite import SqliteLog
os.setgid(65534)
os.setuid(65534)
log = SqliteLog(sys.argv[1])
print(log.head().seq, len(list(log.read())), flush=True)
sys.stdin.readline()
print(log.head().seq, len(list(log.read())), flush=True)
if len(sys.argv) > 2:
    os._exit(0)
log.close()
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a folder that every user may come to."""
    if os.getuid() != 0:
        pytest.skip("only root can ask as another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.parametrize("ending", [(), ("killed",)])
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o777, 0o644), (0o777, 0o666), (0o755, 0o644)])
def test_a_query_of_another_user_leaves_nothing_that_locks_the_owner_out(
    shared: Path, folder_mode: int, file_mode: int, ending: tuple[str, ...]
) -> None:
    path = shared / "day.db"
    with closing(SqliteLog(path)) as log:
        log.append([mark("X")], 0)
    path.chmod(file_mode)
    shared.chmod(folder_mode)

    with child(ASKING, path, *ending, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["1", "1"], process.stderr and process.stderr.read()
        for each in shared.iterdir():
            assert each.stat().st_uid == 0, f"{each.name} belongs to somebody else"
        with closing(SqliteLog(path)) as log:
            log.append([mark("X")], 1)  # a reader of a copy sees what has come since
            out, err = process.communicate("\n", timeout=60)
    assert (out.split(), err) == (["2", "2"], "")
    for each in shared.iterdir():
        assert each.stat().st_uid == 0, f"{each.name} belongs to somebody else"
        assert each.stat().st_mode & 0o200


def test_a_private_copy_goes_with_its_reader(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, copies = shared / "day.db", shared / "copies"
    with closing(SqliteLog(path)) as log:
        log.append([mark("X")], 0)
    for left in shared.glob("day.db-*"):
        left.unlink()
    copies.mkdir()
    path.chmod(0o444)  # whoever may not write it reads a copy
    monkeypatch.setattr(tempfile, "tempdir", str(copies))

    reader = SqliteLog(path)
    assert reader.head().seq == 1
    assert len(list(copies.iterdir())) == 1
    assert in_a_child(reader.close) == "no error"
    assert len(list(copies.iterdir())) == 1
    reader.close()

    assert list(copies.iterdir()) == []
    assert not list(shared.glob("day.db-*"))


def test_a_transaction_that_was_left_open_is_no_part_of_the_next_append(path: Path) -> None:
    with closing(SqliteLog(path)) as log:
        log.append([mark("X")], log.head().seq)
        assert log._writing is not None
        log._writing.execute("BEGIN IMMEDIATE")
        log._writing.execute("INSERT INTO names(name) VALUES ('left over')")

        log.append([mark("X")], log.head().seq)

        assert not log.holds_name("left over")


def test_a_log_may_be_opened_while_another_process_makes_the_first_commit(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    open_writer(path).close()
    with closing(connect(f"{path.as_uri()}?mode=ro", 1)) as reader, closing(SqliteLog(path)) as other:

        class Overtaken:
            """A connection that reads its header after the first commit of another process."""

            def execute(self, statement: str) -> Any:
                if statement == "PRAGMA page_count":
                    other.append([mark("X")], 0)
                return reader.execute(statement)

        open_connections._refuse_cut_off(Overtaken())  # type: ignore[arg-type]
