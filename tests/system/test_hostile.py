"""Hostile input and hostile files: a typed error or a safe line, a log that stays as it was, little memory."""

import asyncio
import random
import shutil
import sqlite3
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oms_es import OrderManagementSystem, Settings
from oms_es.cli.app import app
from oms_es.domain.events import FillAdded
from oms_es.errors import ImportFailed, LogError, OmsError, SettingsError
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import import_facts
from oms_es.log.sqlite import SqliteLog
from tests.cli.test_cli import Oms
from tests.desk import Clock, desk, fact, facts_file, is_safe, submit, submitted, trade, work

MEGABYTE = "A" * 1_000_000
DEEP = "[" * 100_000 + "]" * 100_000
# Text that may stand in a log: it must come back as it is, and be shown so that it harms no terminal and no page.
ODD = [
    "x'; DROP TABLE events; --", '"; DELETE FROM meta; --', "<script>alert(1)</script>", "../../etc/passwd",
    "{}%s%n{0.__class__}", "[red]bold[/red] [/]", "=cmd|' /C calc'!A0", "a/b/c", "evil\u202egnp.exe",
    "a\u2028b\u2029c", "\ufeffbom\u200bzero", "🙂" * 32, "-rf",
    "\u2066isolates\u2069", "a tag\U000e0041", "\u0301", "株式会社", "\"'\\", "%s {0} \\n $HOME `id`",
]  # fmt: skip
# Text that may not.
REFUSED = ["", "a\x00b", "a\x1b[2Jb", "a\nb", "a\x7fb", "a\x9bb", "\ud800", "a\udcffb", MEGABYTE, "A" * 129]
NUMBERS: list[Any] = [
    "NaN", "sNaN", "Infinity", "-inf", "1e999999999", "1e-999999999", "1E5", "1_000", "0x10", "１２", "٣", "", " 1",
    "1\n", "1,5", "--1", "9" * 1_000_000, "0." + "1" * 1_000_000, "1000000000000000000", "0.0000000000000000001",
    10**400_000, 1.5, float("nan"), True, None, [], {}, b"1", Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"),
    Decimal("1e999999"), Decimal("1e-999999"),
]  # fmt: skip
Ask = Callable[[OrderManagementSystem, Any], Awaitable[object]]


def bytes_of(path: Path) -> dict[str, bytes]:
    """Return every file of a log but the reader's index and the cache, byte by byte."""
    files = sorted(path.parent.glob(f"{path.name}*"))
    kept = {file.name: file.read_bytes() for file in files if not file.name.endswith(("-shm", ".checkpoints"))}
    return {name: content for name, content in kept.items() if content}


def peak_of(run: Callable[[], object]) -> int:
    """Return how much memory was in use at once meanwhile."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- the embedded API ---

NAMES: dict[str, Ask] = {
    "order id": submit,
    "symbol": lambda oms, bad: submit(oms, "o-9", symbol=bad),
    "account": lambda oms, bad: submit(oms, "o-9", account=bad),
    "command id": lambda oms, bad: submit(oms, "o-9", command_id=bad),
    "trade id": lambda oms, bad: oms.add_fill("o-1", 10, 10, bad),
    "venue's id": lambda oms, bad: oms.update_order_state("o-1", "working", external_order_id=bad),
    "bust": lambda oms, bad: oms.bust_fill("o-1", bad),
    "quarantine id": lambda oms, bad: oms.resolve_quarantined(bad, True),
    "mark": lambda oms, bad: oms.record_mark(bad, 10),
    "currency": lambda oms, bad: oms.define_instrument("AAA", currency=bad),
    "side": lambda oms, bad: submit(oms, "o-9", side=bad),
    "state": lambda oms, bad: oms.update_order_state("o-1", bad),
    "time": lambda oms, bad: oms.record_mark("AAA", 10, occurred_at=bad),
    "restricted": lambda oms, bad: oms.set_limits(restricted=[bad]),
    "limit": lambda oms, bad: oms.set_limits(**{bad: "1"}),
    "zone": lambda oms, bad: oms.set_limits(timezone=bad),
    "level": lambda oms, bad: oms.halt(bad),
}
FIGURES: dict[str, Ask] = {
    "quantity": lambda oms, bad: submit(oms, "o-9", quantity=bad),
    "price": lambda oms, bad: submit(oms, "o-9", price=bad),
    "fill quantity": lambda oms, bad: oms.add_fill("o-1", bad, 10, "t1"),
    "fill price": lambda oms, bad: oms.add_fill("o-1", 10, bad, "t1"),
    "fee": lambda oms, bad: oms.add_fill("o-1", 10, 10, "t1", bad),
    "mark": lambda oms, bad: oms.record_mark("AAA", bad),
    "multiplier": lambda oms, bad: oms.define_instrument("AAA", multiplier=bad),
    "skew": lambda oms, bad: oms.set_limits(max_skew=[] if bad is None else bad),
}


async def refusal(asked: Awaitable[object]) -> str:
    """Return what is said where something is refused; nothing where it is taken."""
    try:
        await asked
    except OmsError as error:
        return str(error)
    return ""


def ask_all(path: Path, asks: dict[str, Ask], values: list[Any]) -> None:
    """Ask each question with each value; every one is a typed error in a short line, and the log stays as it was."""

    async def run() -> None:
        async with desk(path) as oms:
            await work(oms)
            before = bytes_of(path)
            for name, ask in asks.items():
                for value in values:
                    said = await refusal(ask(oms, value))
                    assert said, f"{name}: {value!a:.100} was taken"
                    assert len(said) < 2_000, name
                    assert is_safe(said), (name, said)
            assert bytes_of(path) == before

    asyncio.run(run())


def test_names_that_cannot_be_are_refused_everywhere_and_leave_the_log_as_it_was(tmp_path: Path) -> None:
    ask_all(tmp_path / "day.db", NAMES, REFUSED)


def test_values_that_are_no_text_are_refused_where_a_name_is_asked_for(tmp_path: Path) -> None:
    named = {name: ask for name, ask in NAMES.items() if name not in ("limit", "time")}
    ask_all(tmp_path / "day.db", named, [b"raw", 10**400_000, 1.5, ["x"], {"x": 1}, object()])


def test_numbers_that_cannot_be_are_refused_everywhere_and_leave_the_log_as_it_was(tmp_path: Path) -> None:
    ask_all(tmp_path / "day.db", FIGURES, NUMBERS)


LONG_AND_ODD = [MEGABYTE, "A" * 1_001, "a\x00b", "\x1b]0;title\x07", "\ud800"]


def test_an_actor_is_neither_long_nor_odd(tmp_path: Path) -> None:
    ask_all(tmp_path / "day.db", {"actor": lambda oms, bad: oms.record_mark("AAA", 1, actor=bad)}, LONG_AND_ODD)


@pytest.mark.parametrize("bad", LONG_AND_ODD, ids=range(len(LONG_AND_ODD)))
async def test_reasons_and_messages_of_any_length_and_content_are_taken_truncated_and_escaped(
    bad: str, tmp_path: Path
) -> None:
    async with desk(tmp_path / "day.db") as oms:
        await submit(oms, "o-1")
        await submit(oms, "o-2")
        await oms.halt(reason=bad)
        assert (await oms.cancel_order("o-1", bad)).reason
        said = (await oms.update_order_state("o-2", "rejected", error_message=bad)).error_message
        assert said is not None
        assert 0 < len(said) <= 1_000
        assert said.isprintable()


async def _odd_orders(path: Path) -> None:
    async with desk(path) as oms:
        for number, odd in enumerate(ODD):
            await submit(oms, odd, symbol=odd, account=f"a-{number}", quantity=10, actor=odd)
            await oms.add_fill(odd, 10, 10, odd)
            found = oms.get_order(odd)
            assert found is not None
            assert (found.order_id, found.symbol, found.fills[0]["trade_id"]) == (odd, odd, odd)


def test_odd_text_comes_back_from_the_log_as_it_went_in(tmp_path: Path) -> None:
    path = tmp_path / "day.db"
    asyncio.run(_odd_orders(path))
    oms = OrderManagementSystem(Settings.default(), log=path)

    assert {position.symbol for position in oms.get_all_positions()} == set(ODD)
    assert oms.log.head().seq == 1 + 5 * len(ODD)
    oms.sequencer.close()


# --- the command line ---


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    monkeypatch.chdir(tmp_path)
    return Oms(tmp_path / "day.db")


QUERIES = (
    "positions", "orders", "fills", "pnl", "daily", "quarantine", "limits", "diff seq:0 now", "replay --check",
    "diff seq:0 now --by order", "positions --method all", "tail --no-follow --after 0",
)  # fmt: skip


def test_no_name_deceives_a_terminal_or_a_program(oms: Oms) -> None:
    outputs = []

    def run(*words: str, code: int = 0) -> None:
        outputs.append(oms(list(words), code).output)

    def ask(words: str, *about: str) -> None:
        for form in ((), ("--json",)):
            run(*words.split(), *form, *about)

    run("limits", "set", "max_open_orders=null")
    for name in ODD:
        run("submit", f"--order-id={name}", "--", name, "buy", "market", "20")
        run("submit", f"--order-id={name}1", "--reduce-only", "--", name, "buy", "market", "20", code=1)
        run("fill", f"--trade-id={name}", "--", name, "30", "5", code=1)
        run("fill", f"--trade-id={name}2", "--fee=1", "--", name, "10", "5")
        run("mark", "--", name, "6")
        run("cancel", "--", f"{name}?", code=1)
        for words in ("order", "history", "why position", "why order", "instrument"):
            ask(words, "--", name)
        ask("positions", f"--symbol={name}")
        run("bisect", f"position('{name}') < 1", code=2 if "'" in name else 1)
        run("cancel", f"--reason={name}", "--", name)
        run("halt", f"--reason={name}")
        run("resume")
    for words in QUERIES:
        ask(words)
    run("replay", "--speed", "max")

    assert [ascii(each) for each in outputs if not is_safe(each)] == []
    assert {row["symbol"] for row in oms.json("positions")["positions"]} == set(ODD)
    assert "[red]bold[/red] [/]" in oms("orders").stdout, "markup is printed as it is"


BAD_WORDS = [text for text in REFUSED if "\x00" not in text and len(text) < 1_000]  # the rest cannot be typed


@pytest.mark.parametrize("bad", BAD_WORDS, ids=ascii)
def test_what_cannot_be_is_one_safe_line_on_the_command_line_and_leaves_the_log_as_it_was(oms: Oms, bad: str) -> None:
    oms("mark ADA 10")
    before = bytes_of(oms.log)
    for words in (
        ["mark", "--", bad, "10"],
        ["submit", "ADA", "buy", "limit", "10", "10", f"--order-id={bad}"],
        ["submit", "ADA", "buy", "limit", "10", "10", f"--account={bad}"],
        ["fill", "--", bad, "10", "10"],
        ["cancel", "--", bad],
        ["quarantine", "accept", "--", bad],
        ["halt", "--level", bad],
        ["mark", "ADA", "10", f"--occurred-at={bad}"],
    ):
        result = oms(words, code=2)
        assert is_safe(result.output), words
        assert len(result.output) < 4_000, words
    assert bytes_of(oms.log) == before


@pytest.mark.parametrize("bad", [n for n in NUMBERS if isinstance(n, str) and 0 < len(n) < 100], ids=ascii)
def test_numbers_that_cannot_be_are_wrong_usage_and_leave_the_log_as_it_was(oms: Oms, bad: str) -> None:
    oms("mark ADA 10")
    before = bytes_of(oms.log)
    for words in (
        ["mark", "--", "ADA", bad],
        ["submit", "--", "ADA", "buy", "limit", bad, "10"],
        ["limits", f"max_skew={bad}"],
    ):
        result = oms(words, code=2)
        assert is_safe(result.output), words
    assert bytes_of(oms.log) == before


# --- settings ---

DEEP_YAML = {
    "flow": "[" * 1_000 + "]" * 1_000,
    "block": "".join(f"{' ' * n}k:\n" for n in range(3_000)),
    "bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)),
    "python": "risk: !!python/object/apply:os.system ['touch hacked']\n",
    "new": "risk: !!python/object/new:subprocess.Popen [['touch', 'hacked']]\n",
    "itself": "risk: &r {max_skew: *r}\n",
    "bytes": "risk:\n  max_skew: \x00\n",
    "huge": "risk: {max_skew: " + "9" * 100_000 + "}\n",
    "exponent": "risk: {max_position_size: 1e999999999}\n",
    "nan": "risk: {max_position_size: .nan}\n",
    "escape": 'risk: {"\\e[2J": 1}\n',
    "text": "just text\n",
}


@pytest.mark.parametrize("name", DEEP_YAML)
def test_hostile_settings_are_a_typed_error_and_run_nothing(tmp_path: Path, name: str) -> None:
    file = tmp_path / "oms.yaml"
    file.write_text(DEEP_YAML[name], encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        Settings.from_file(file)

    assert len(str(caught.value)) < 3_000
    assert is_safe(str(caught.value)), str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["oms.yaml"]


# --- importers ---

BAD_FACTS = {
    "deep": DEEP,
    "deep in a field": '{"seq":1,"ts":"2012-06-21T13:30:00Z","kind":"mark","symbol":"X","price":'
    + "[" * 20_000
    + "]" * 20_000
    + "}",
    "long line": submitted(1, order_id=MEGABYTE),
    "control": '{"seq":1,"ts":"2012-06-21T13:30:00Z","kind":"mark","symbol":"\\u001b[2J","price":"1"}',
    "surrogate": '{"seq":1,"ts":"2012-06-21T13:30:00Z","kind":"mark","symbol":"\\ud800","price":"1"}',
    "nan": fact(1, "mark", symbol="X", price="NaN"),
    "bare nan": '{"seq":1,"ts":"2012-06-21T13:30:00Z","kind":"mark","symbol":"X","price":NaN}',
    "exponent": fact(1, "mark", symbol="X", price="1e999999999"),
    "bare exponent": '{"seq":1,"ts":"2012-06-21T13:30:00Z","kind":"mark","symbol":"X","price":1e999999}',
    "float": '{"seq":1,"ts":"2012-06-21T13:30:00Z","kind":"mark","symbol":"X","price":1.5}',
    "huge seq": '{"seq":' + "9" * 5_000 + ',"ts":"2012-06-21T13:30:00Z","kind":"mark","symbol":"X","price":"1"}',
    "seq is a bool": '{"seq":true,"ts":"2012-06-21T13:30:00Z","kind":"mark","symbol":"X","price":"1"}',
    "huge digits": fact(1, "mark", symbol="X", price="9" * 50_000),
    "unknown kind": fact(1, "'; DROP TABLE events; --", symbol="X"),
    "class": '{"seq":1,"ts":"2012-06-21T13:30:00Z","kind":"__class__","__reduce__":["os.system","x"]}',
    "time": fact(1, "mark", ts="2012-06-21T13:30:00", symbol="X", price="1"),
    "far time": fact(1, "mark", ts="9999-12-31T23:59:59Z", symbol="X", price="1"),
    "list": "[1,2,3]",
    "null": "null",
    "nothing much": "{}",
}


async def _taken_in(path: Path, file: Path) -> None:
    async with desk(path) as oms:
        await import_facts(oms.sequencer, lambda: read_facts(file, Defaults()))


@pytest.mark.parametrize("name", BAD_FACTS)
def test_a_hostile_fact_is_named_with_its_line_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    path, file = tmp_path / "day.db", facts_file(tmp_path / "day.jsonl", submitted(7), BAD_FACTS[name])

    def run() -> None:
        with pytest.raises(ImportFailed, match=r"day\.jsonl:2: ") as caught:
            asyncio.run(_taken_in(path, file))
        assert len(str(caught.value)) < 2_000
        assert is_safe(str(caught.value))

    assert peak_of(run) < 50_000_000
    assert not path.exists()


def test_a_file_of_raw_bytes_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    dice = random.Random(7)
    for number in range(20):
        file = tmp_path / f"raw-{number}.jsonl"
        file.write_bytes(b"{" + dice.randbytes(5_000))
        with pytest.raises(ImportFailed) as caught:
            asyncio.run(_taken_in(tmp_path / "day.db", file))
        assert is_safe(str(caught.value))
    assert not (tmp_path / "day.db").exists()


def test_hostile_files_are_told_in_one_line_by_the_command_line(oms: Oms) -> None:
    oms("mark ADA 10")
    before = bytes_of(oms.log)
    for number, bad in enumerate(BAD_FACTS.values()):
        file = facts_file(oms.log.with_name(f"bad-{number}.jsonl"), submitted(7), bad)
        assert is_safe(oms(["import", "facts", str(file)], code=1).output)
    for name, bad in DEEP_YAML.items():
        file = oms.log.with_name(f"{name}.yaml")
        file.write_text(bad, encoding="utf-8")
        assert is_safe(oms("mark ADA 11", code=1, OMS_CONFIG=str(file)).output), name
    assert bytes_of(oms.log) == before
    assert not oms.log.with_name("hacked").exists()


# --- damaged logs ---


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log of a day, all of it in one file."""
    path = tmp_path_factory.mktemp("whole") / "day.db"

    async def run() -> None:
        async with desk(path) as oms:
            for number in range(30):
                await trade(oms, f"o-{number}", "buy" if number % 2 else "sell", 10, 10)  # type: ignore[arg-type]
            await oms.record_mark("ADAUSDM", 11)

    asyncio.run(run())
    assert [file.name for file in path.parent.glob("day.db*") if "checkpoints" not in file.name] == ["day.db"]
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "day.db"))


def spoil(path: Path, statement: str, *values: object) -> None:
    """Change a log as somebody with a database tool would."""
    connection = sqlite3.connect(path, isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(statement, values)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def read_by_everybody(path: Path, *, anywhere: bool = False) -> list[str]:
    """Return what the three readers say of a log that they cannot read; anything but a typed error is raised."""
    said = []

    def embedded() -> None:
        oms = OrderManagementSystem(Settings.default(), log=path, clock=Clock())
        try:
            oms.get_all_positions()
        finally:
            oms.sequencer.close()

    def plain() -> None:
        log = SqliteLog.existing(path)
        try:
            for _ in log.read():
                pass
        finally:
            log.close()

    for reader in (plain, embedded):
        try:
            reader()
        except LogError as error:
            said.append(str(error))
    # Positions do not look at rows that are no business of theirs; of those that are, nothing damaged passes.
    result = CliRunner().invoke(app, ["positions", "--log", str(path)])
    assert result.exit_code in ({0, 1} if anywhere and said else {1 if said else 0}), result.output
    assert "this is a bug" not in result.output, result.output
    if said:
        said.append(result.stderr)
    assert all(is_safe(each) and len(each) < 3_000 for each in said), ascii(said)
    return said


def first_fill(path: Path) -> int:
    with closing(SqliteLog.existing(path)) as log:
        return next(each.seq for each in log.read() if isinstance(each.event, FillAdded))


BAD_BODIES = {
    "huge exponent": b'{"symbol":"ADAUSDM","side":"buy","fill_quantity":"1e999999","fill_price":"10"}',
    "tiny exponent": b'{"symbol":"ADAUSDM","side":"buy","fill_quantity":"1e-999999","fill_price":"10"}',
    "bare exponent": b'{"symbol":"ADAUSDM","side":"buy","fill_quantity":1e999999,"fill_price":"10"}',
    "nan": b'{"symbol":"ADAUSDM","side":"buy","fill_quantity":"NaN","fill_price":"10"}',
    "signalling": b'{"symbol":"ADAUSDM","side":"buy","fill_quantity":"sNaN","fill_price":"10"}',
    "infinite": b'{"symbol":"ADAUSDM","side":"buy","fill_quantity":"10","fill_price":"-Infinity"}',
    "many digits": b'{"symbol":"ADAUSDM","side":"buy","fill_quantity":"%s","fill_price":"10"}' % (b"9" * 500_000),
    "fractions": b'{"symbol":"ADAUSDM","side":"buy","fill_quantity":"0.%s","fill_price":"10"}' % (b"1" * 5_000),
    "huge fee": b'{"symbol":"ADAUSDM","side":"buy","fill_quantity":"1","fill_price":"10","fee":"1e400"}',
    "deep": b'{"symbol":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no json": b"\x80\x04\x95cos\nsystem\n(S'touch hacked'\ntR.",
    "empty": b"",
    "null": b"null",
    "other stream": b'{"account":"b","symbol":"X","side":"buy","fill_quantity":"1","fill_price":"10"}',
    "version": b'{"v":99,"symbol":"X"}',
    "surrogate": b'{"symbol":"\\ud800","side":"buy","fill_quantity":"1","fill_price":"10"}',
    "text": b'{"symbol":5,"side":"buy","fill_quantity":"1","fill_price":"10"}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_hostile_body_is_a_typed_error_that_names_its_seq(path: Path, name: str) -> None:
    seq = first_fill(path)
    spoil(path, "UPDATE events SET state = ? WHERE seq = ?", BAD_BODIES[name], seq)
    before = bytes_of(path)
    said: list[str] = []

    peak = peak_of(lambda: said.extend(read_by_everybody(path)))

    assert len(said) == 3
    assert all(f"seq {seq}" in each for each in said), said
    assert peak < 30_000_000
    assert bytes_of(path) == before, "reading has changed the log"


def test_a_huge_text_in_a_body_costs_no_more_memory_than_a_few_copies_of_it(path: Path) -> None:
    seq = first_fill(path)
    body = b'{"symbol":"%s","side":"buy","fill_quantity":"1","fill_price":"10"}' % (b"A" * 1_000_000)
    spoil(path, "UPDATE events SET state = ? WHERE seq = ?", body, seq)

    assert peak_of(lambda: read_by_everybody(path)) < 100_000_000


@pytest.mark.parametrize(
    "topic", ["os:system", "oms_es.domain.events:FillAdded", "FillAddedTwice", "\x1b[2J"], ids=ascii
)
def test_an_unknown_topic_is_a_typed_error_and_nothing_is_imported(path: Path, topic: str) -> None:
    seq = first_fill(path)
    spoil(path, "UPDATE names SET name = ? WHERE name = 'FillAdded'", topic)
    loaded = set(sys.modules)

    said = read_by_everybody(path)

    assert len(said) == 3
    assert all(f"seq {seq}" in each for each in said), said
    assert not {name for name in set(sys.modules) - loaded if "oms_es" not in name}


def test_a_log_that_was_cut_off_anywhere_is_a_typed_error_or_has_every_event(whole: Path, tmp_path: Path) -> None:
    content, dice, refused = whole.read_bytes(), random.Random(11), 0
    with closing(SqliteLog.existing(whole)) as log:
        events = list(log.read())
    for number in range(40):
        file = tmp_path / f"cut-{number}.db"
        file.write_bytes(content[: dice.randrange(1, len(content))])
        if read_by_everybody(file, anywhere=True):
            refused += 1
        else:  # what is missing are pages that no row stands on
            with closing(SqliteLog.existing(file)) as log:
                assert list(log.read()) == events
    assert refused > 20


def test_a_log_whose_last_rows_were_cut_off_is_not_taken_for_an_empty_one(whole: Path, tmp_path: Path) -> None:
    content, file = whole.read_bytes(), tmp_path / "cut.db"
    file.write_bytes(content[:-2_000])

    with pytest.raises(LogError), closing(SqliteLog.existing(file)) as log:
        assert list(log.read()), "it was read as an empty log"


def flip(whole: Path, folder: Path, count: int) -> int:
    """Flip a bit or spoil a few bytes, again and again; return how many of the files nobody could read."""
    content, dice, found = whole.read_bytes(), random.Random(count), 0
    for number in range(count):
        spoiled = bytearray(content)
        for _ in range(dice.choice([1, 1, 1, 5, 50])):
            place = dice.randrange(len(spoiled))
            spoiled[place] ^= 1 << dice.randrange(8) if dice.random() < 0.7 else dice.randrange(1, 256)
        file = folder / f"flip-{number}.db"
        file.write_bytes(spoiled)
        found += bool(read_by_everybody(file, anywhere=True))
        for each in folder.glob(f"flip-{number}.db*"):
            each.unlink()
    return found


def test_flipped_bits_are_a_typed_error_or_harmless_and_never_a_traceback(whole: Path, tmp_path: Path) -> None:
    peak = peak_of(lambda: flip(whole, tmp_path, 40))

    assert peak < 200_000_000


@pytest.mark.torture
def test_many_flipped_bits_are_a_typed_error_or_harmless_and_never_a_traceback(whole: Path, tmp_path: Path) -> None:
    assert flip(whole, tmp_path, 5_000)
