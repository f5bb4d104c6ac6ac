"""Replaying for audit: what a day came to, decided again, under other limits, in a box, as files; on every machine."""

import asyncio
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.audit.day_archive import BadDayArchive, NothingBooked, pack, unpack
from oms_es.audit.replay import replay
from oms_es.audit.what_if import NOTE, what_if
from oms_es.decimals import text
from oms_es.domain import risk_checks
from oms_es.domain.policy import DECISION_RULES_VERSION
from oms_es.errors import InvalidInput, LogError
from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.projection import plain
from oms_es.projections.state import State
from oms_es.queries.export import COLUMNS, FORMATS, WHAT, ExportFilter, export_rows, write
from oms_es.queries.queries import AsOf, Queries
from oms_es.timestamps import iso
from oms_es.vocabulary import CostMethod
from tests.desk import DAY, desk, mark, submit
from tests.golden_days import BOXES, DATES, DAYS, REPLAYING, SPANS, boxed, from_box, play, restore

TABLES = Path(__file__).parents[1] / "tables"
FIFO = CostMethod.FIFO


def report(log: SqliteLog | MemoryLog, **options: Any) -> str:
    return json.dumps(plain(replay(log.read(), check=True, **options).rows()))


@pytest.fixture(params=DATES)
def day(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def log(day: str, tmp_path: Path) -> SqliteLog:
    return restore(day, tmp_path / "day.db")


# --- decided again ---


def test_every_command_of_a_golden_day_is_decided_the_same_again(day: str, log: SqliteLog) -> None:
    seen = replay(log.read(), check=True)

    assert seen.divergent == []
    assert seen.checked is not None
    assert seen.checked.total() > 25
    assert [each.trading_day for each in seen.days] == list(SPANS[day])
    assert seen.events == log.head().seq


def test_a_planted_change_in_a_check_is_found_at_the_order_it_would_have_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = restore("ordinary_day", tmp_path / "day.db")
    strict = risk_checks.RiskCheck(
        "OPEN_ORDERS", lambda order, *_: "OPEN_ORDERS: 45" if order.total == 45 else None, (), (), ""
    )
    rules = tuple(strict if rule.code == "OPEN_ORDERS" else rule for rule in risk_checks.CHECKS)
    monkeypatch.setattr(risk_checks, "CHECKS", rules)

    (found, *more) = replay(log.read(), check=True).divergent

    assert more == []
    assert found.command == "SubmitOrder"
    assert found.recorded[0]["order_id"] == "o-8"
    assert found.decided[1]["violations"] == ["OPEN_ORDERS: 45"]


def test_a_replay_writes_nothing(log: SqliteLog) -> None:
    before = log.path.read_bytes()

    report(log)

    assert log.path.read_bytes() == before


_PURE_DECIMALS = "import sys; sys.modules['_decimal'] = None\n"


@pytest.mark.parametrize(("environment", "prelude"), [
    ({"PYTHONHASHSEED": "0", "TZ": "UTC"}, ""),
    ({"PYTHONHASHSEED": "4711", "TZ": "Pacific/Kiritimati"}, ""),
    ({"PYTHONHASHSEED": "1", "TZ": "America/St_Johns", "LC_ALL": "C"}, ""),
    ({"PYTHONHASHSEED": "2"}, _PURE_DECIMALS),
])  # fmt: skip
def test_a_replay_is_the_same_under_every_hash_seed_time_zone_locale_and_decimal_module(
    environment: dict[str, str], prelude: str
) -> None:
    boxes = [boxed(day, trading_day) for day, trading_day in BOXES]
    done = subprocess.run(
        [sys.executable, "-c", prelude + REPLAYING, *map(str, boxes)], env={**os.environ, **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.splitlines() == [from_box(box) for box in boxes]


def test_the_day_in_memory_comes_to_the_digest_of_the_day_in_a_file(day: str, tmp_path: Path) -> None:
    memory, log = MemoryLog(), SqliteLog(tmp_path / "day.db")
    asyncio.run(play(day, memory))
    asyncio.run(play(day, log))

    assert replay(memory.read()).digest == replay(log.read()).digest


# --- under other limits ---

ROWS = [line for line in (TABLES / "what_if.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
STARTS = [ROWS[0].index(name) for name in ROWS[0].split()]


@pytest.mark.parametrize("row", ROWS[1:])
def test_what_if_gives_the_flips_and_pnl_worked_out_by_hand(row: str, tmp_path: Path) -> None:
    cells = [row[start:end].strip() for start, end in zip(STARTS, [*STARTS[1:], None], strict=True)]
    limit, flips, lost, alfa, beta, exposure, loss = cells
    key, value = limit.split("=")
    log = restore("ordinary_day", tmp_path / "day.db")

    seen = what_if(log.read(), {key: value})

    pnl = {each["symbol"]: str(each["realized_pnl_what_if"]) for each in seen.days}
    assert [flip.order_id for flip in seen.flips] == flips.split(",") if flips else seen.flips == []
    assert len(seen.lost_fills) == int(lost)
    assert (pnl.get("ALFA", "0"), pnl.get("BETA", "0")) == (alfa, beta)
    reached = {each["symbol"]: str(each["most_what_if"]) for each in seen.exposure}
    assert (reached["ALFA"], str(seen.daily_loss[0]["most_what_if"])) == (exposure, loss)
    assert seen.rows()["note"] == NOTE


@pytest.mark.parametrize("day", ["ordinary_day", "awkward_day"], indirect=True)  # no account has limits of its own
def test_the_limits_of_life_change_nothing(log: SqliteLog) -> None:
    policy = State().replay(log.read()).policies.values["*"]
    limits = {key: value for key, value in policy.items() if not key.startswith(("day.", "accounting."))}

    seen = what_if(log.read(), limits)

    assert (seen.flips, seen.lost_commands, seen.impossible) == ([], 0, 0)
    assert all(each["change"] == 0 for each in seen.days)


@pytest.mark.parametrize("key", ["day.timezone", "accounting.method"])
def test_what_is_no_limit_is_not_tried(key: str, log: SqliteLog) -> None:
    with pytest.raises(InvalidInput, match=key):
        what_if(log.read(), {key: "lifo"})


async def test_a_fill_that_would_have_to_wait_could_not_have_happened_as_it_did(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "day.db")

    oms = desk(log)
    await submit(oms, "o-1", quantity=50)
    await oms.amend_order("o-1", quantity=200)
    await oms.add_fill("o-1", 200, 10, "t-1")

    seen = what_if(log.read(), {"risk.max_position_size": "100"})

    assert [(flip.order_id, flip.asked) for flip in seen.flips] == [("o-1", "amend")]
    assert [(lost["trade_id"], str(lost["quantity"])) for lost in seen.lost_fills] == [("t-1", "200")]
    assert [str(each["most_what_if"]) for each in seen.exposure] == ["200"]  # what waits there counts


@pytest.mark.parametrize("boxed", [False, True], ids=["from the log", "from its box"])
def test_other_limits_may_hold_for_one_day_only(boxed: bool, tmp_path: Path) -> None:
    log, last = restore("three_days", tmp_path / "days.db"), DATES["three_days"]
    limits = {"risk.max_position_size": "40"}
    if boxed:
        pack(log, last, tmp_path / "day.omsday", FIFO, "1")
        events, worlds = unpack(tmp_path / "day.omsday").events, [unpack(tmp_path / "day.omsday").opening for _ in "ab"]
        seen = what_if(events, limits, worlds=(worlds[0], worlds[1]), day=last)
    else:
        seen = what_if(log.read(), limits, day=last)

    # 110 ALFA are held from before the day, so o-5, which sells 50 of them, only reduces; f-3 closes the short of 5.
    assert (seen.flips, seen.lost_fills, seen.commands) == ([], [], 8)
    assert {(row["trading_day"], row["symbol"]) for row in seen.days} == {(last, "ALFA"), (last, "FUT")}
    assert all(row["limit_what_if"] == 40 for row in seen.exposure if row["account"] == "main")


# --- in a box ---


def test_a_day_archive_replays_to_the_report_of_the_log(day: str, log: SqliteLog, tmp_path: Path) -> None:
    path = tmp_path / "day.omsday"
    pack(log, DATES[day], path, FIFO, "1")
    box = unpack(path)

    seen = replay(box.events, box.opening, day=DATES[day], check=True)

    assert json.dumps(plain(seen.rows())) == report(log, day=DATES[day])


def test_the_same_day_is_packed_to_the_same_bytes(day: str, log: SqliteLog, tmp_path: Path) -> None:
    paths = [tmp_path / "one.omsday", tmp_path / "two.omsday"]

    for path in paths:
        pack(log, DATES[day], path, FIFO, "1")

    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_second_day_travels_with_the_state_it_opens_with(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "days.db")
    for day in ("ordinary_day", "awkward_day"):
        asyncio.run(play(day, log))
    last = DATES["awkward_day"]
    pack(log, last, tmp_path / "day.omsday", FIFO, "1")
    box = unpack(tmp_path / "day.omsday")

    seen = replay(box.events, box.opening, day=last, check=True)

    assert box.manifest.first_seq > 40
    assert json.dumps(plain(seen.rows())) == report(log, day=last)
    assert seen.divergent == []


def test_a_day_without_events_cannot_be_packed(log: SqliteLog, tmp_path: Path) -> None:
    with pytest.raises(NothingBooked):
        pack(log, "1999-12-31", tmp_path / "x.omsday", FIFO, "1")


def manifest(old: bytes, new: bytes) -> Callable[[dict[str, bytes]], object]:
    """Return a change of the manifest of an archive."""

    def change(content: dict[str, bytes]) -> None:
        assert old in content["manifest.json"]
        content["manifest.json"] = content["manifest.json"].replace(old, new)

    return change


def hashed_again(content: dict[str, bytes]) -> None:
    """Change a row, and its digest in the manifest."""
    old = json.loads(content["manifest.json"])["rows"]
    content["rows.jsonl"] = content["rows.jsonl"].replace(b"10.25", b"10.26")
    digest = hashlib.sha256(content["rows.jsonl"]).hexdigest()
    content["manifest.json"] = content["manifest.json"].replace(old.encode(), digest.encode())


HUGE = b"0" * 50_000_000
CHANGED: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {  # and what the error says
    "a row": (lambda content: content.update({"rows.jsonl": content["rows.jsonl"].replace(b"10.25", b"10.26")}), ""),
    "a row, hashed again": (hashed_again, "seq 18: the row does not fit the chain"),
    "half of the rows": (lambda content: content.update({"rows.jsonl": content["rows.jsonl"][:9999]}), ""),
    "the opening": (lambda content: content.update({"opening.json": b'{"seq":1}'}), ""),
    "no manifest": (lambda content: content.update({"manifest.json": b"{}"}), ""),
    "the first seq": (manifest(b'"first_seq": 1', b'"first_seq": 2'), ""),
    "a later box": (manifest(b'"box": 2', b'"box": 99'), "later release"),
    "a later log": (manifest(b'"log_format": 1', b'"log_format": 99'), "later release"),
    "later rules": (manifest(b'"rules": %d' % DECISION_RULES_VERSION, b'"rules": 99'), "later release"),
    "another day": (manifest(b'"trading_day": "2024', b'"trading_day": "1999'), "in it is booked on '1999-03-04'"),
    "no chain": (manifest(b'"previous_chain": "', b'"previous_chain": "zz'), "names no chain"),
    "a huge manifest": (lambda content: content.update({"manifest.json": HUGE}), "manifest.json is larger"),
    "a huge opening": (lambda content: content.update({"opening.json": HUGE}), "opening.json is larger"),
    "huge rows": (lambda content: content.update({"rows.jsonl": HUGE}), "rows.jsonl is larger"),
}


@pytest.mark.parametrize(("change", "why"), CHANGED.values(), ids=CHANGED)
def test_a_day_archive_that_was_changed_on_the_way_is_refused(
    change: Callable[[dict[str, bytes]], object], why: str, tmp_path: Path
) -> None:
    log, path = SqliteLog(tmp_path / "day.db"), tmp_path / "day.omsday"
    asyncio.run(play("ordinary_day", log))
    pack(log, DATES["ordinary_day"], path, FIFO, "1")
    with zipfile.ZipFile(path) as box:
        content = {name: box.read(name) for name in box.namelist()}
    change(content)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box:
        for name, body in content.items():
            box.writestr(name, body)

    with pytest.raises(BadDayArchive, match=why or None):
        unpack(path)


def test_the_rows_of_an_archive_are_never_in_memory_together(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path / "day.db")) as log:
        log.append([mark("S" * 100, number) for number in range(1, 4001)], 0)
        pack(log, DAY, tmp_path / "day.omsday", FIFO, "1")
    with zipfile.ZipFile(tmp_path / "day.omsday") as box:
        size = box.getinfo("rows.jsonl").file_size

    tracemalloc.start()
    try:
        archive = unpack(tmp_path / "day.omsday")
        count, peak = sum(1 for _ in archive.events), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert count == 4000
    assert peak < size / 3


@given(cuts=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_damaged_day_archive_is_refused_or_has_the_same_events(cuts: list[tuple[int, int]]) -> None:
    packed = (DAYS / "ordinary_day" / "2024-03-04.omsday").read_bytes()
    body = bytearray(packed)
    for place, byte in cuts:
        body[place % len(body)] = byte
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.omsday"
        path.write_bytes(body)
        with suppress(LogError):
            found = unpack(path)
            assert list(found.events) == list(unpack(DAYS / "ordinary_day" / "2024-03-04.omsday").events)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04cut off"])
def test_a_file_that_is_no_day_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.omsday").write_bytes(content)

    with pytest.raises(BadDayArchive):
        unpack(tmp_path / "x.omsday")


# --- as files ---


def exported(log: SqliteLog, what: str, narrowed: ExportFilter | None = None) -> list[dict[str, Any]]:
    queries = Queries(log)
    return list(export_rows(what, queries, queries.basis(AsOf()), log.rows, narrowed or ExportFilter()))


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("form", FORMATS)
def test_what_is_exported_reads_back_the_same(what: str, form: str, tmp_path: Path) -> None:
    log = restore("awkward_day", tmp_path / "day.db")
    rows, path = exported(log, what), tmp_path / f"rows.{form}"

    count = write(rows, what, form, path)

    assert count == len(rows) > 0
    assert _read(path, form) == [_as_text(row) if form == "csv" else row for row in rows]


def _read(path: Path, form: str) -> list[dict[str, Any]]:
    if form == "jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if form == "csv":
        return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    found = pyarrow.parquet.read_table(path)
    return [dict(zip(found.column_names, row, strict=True)) for row in zip(*map(_texts, found.columns), strict=True)]


def _texts(column: Any) -> list[Any]:
    """Return the cells of a Parquet column as in the other forms."""
    if pyarrow.types.is_timestamp(column.type):
        return [None if value is None else iso(value) for value in column.cast(pyarrow.int64()).to_pylist()]
    exact = pyarrow.types.is_decimal(column.type) or pyarrow.types.is_date(column.type)
    return [value if value is None or not exact else _plain(value) for value in column.to_pylist()]


def _plain(value: Decimal | date) -> str:
    return text(value) if isinstance(value, Decimal) else value.isoformat()


def _as_text(row: dict[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}


@pytest.mark.parametrize(("what", "narrowed", "count"), [
    ("orders", ExportFilter(symbol="ALFA"), 6),
    ("orders", ExportFilter(order_id="o-4"), 1),
    ("fills", ExportFilter(symbol="BETA"), 4),
    ("fills", ExportFilter(day="2024-03-05"), 0),
    ("fills", ExportFilter(day="2024-03-04", order_id="o-1"), 2),
    ("positions", ExportFilter(account="nobody"), 0),
    ("pnl", ExportFilter(symbol="ALFA", day="2024-03-04"), 1),
    ("events", ExportFilter(order_id="o-2"), 4),
    ("events", ExportFilter(symbol="BETA", day="2024-03-04"), 18),
])  # fmt: skip
def test_an_export_is_narrowed_by_day_symbol_account_and_order(
    what: str, narrowed: ExportFilter, count: int, tmp_path: Path
) -> None:
    log = restore("ordinary_day", tmp_path / "day.db")

    assert len(exported(log, what, narrowed)) == count


def test_an_export_narrowed_by_day_or_order_has_its_orders_positions_and_pnl(tmp_path: Path) -> None:
    log = restore("three_days", tmp_path / "days.db")

    def keys(what: str, *names: str, **narrowed: Any) -> list[Any]:
        found = exported(log, what, ExportFilter(**narrowed))
        return [tuple(row[name] for name in names) if len(names) > 1 else row[names[0]] for row in found]

    assert set(keys("orders", "order_id", day="2024-03-07", account="main")) == {"f-2", "o-1", "o-4"}
    assert keys("positions", "symbol", "quantity", day="2024-03-06", account="main") == [("ALFA", "110"), ("FUT", "10")]
    assert keys("positions", "symbol", order_id="f-2") == ["FUT"]
    assert keys("pnl", "trading_day", "symbol", order_id="f-2") == [("2024-03-07", "FUT")]
    assert keys("pnl", "trading_day", order_id="nobody") == ["2024-03-08"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_empty_export_has_the_columns_of_a_full_one(form: str, tmp_path: Path) -> None:
    log = restore("ordinary_day", tmp_path / "day.db")
    for what in WHAT:
        rows = exported(log, what)
        assert list(rows[0]) == list(COLUMNS[what])
        for name, kept in (("full", rows), ("empty", [])):
            write(kept, what, form, tmp_path / f"{what}-{name}.{form}")
        heads = [_head(tmp_path / f"{what}-{name}.{form}") for name in ("full", "empty")]
        assert heads[0] == heads[1]


def _head(path: Path) -> object:
    if path.suffix == ".csv":
        return path.read_text(encoding="utf-8").splitlines()[0]
    return pyarrow.parquet.read_schema(path)


def test_an_export_that_fails_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("precious", encoding="utf-8")

    def rows() -> Iterator[dict[str, Any]]:
        yield {"order_id": "o-1"}
        raise OSError(28, "No space left on device")

    with pytest.raises(LogError, match="No space left"):
        write(rows(), "orders", "csv", path)

    assert [each.name for each in tmp_path.iterdir()] == ["x.csv"]
    assert path.read_text(encoding="utf-8") == "precious"


def test_a_cell_that_a_spreadsheet_would_calculate_is_written_as_text(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"

    write([{"order_id": "=1+1", "quantity": "-5", "reason": "@x"}], "orders", "csv", path)

    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert {name: cell for name, cell in row.items() if cell} == {
        "order_id": "'=1+1",
        "quantity": "-5",
        "reason": "'@x",
    }
