"""Hostile input and hostile files: a typed error or a safe line, a log that stays as it was, little memory."""

import asyncio
import random
import tracemalloc
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms_es import OrderManagementSystem, Settings
from oms_es.errors import ImportFailed, OmsError, SettingsError
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import import_facts
from tests.cli.test_cli import Oms
from tests.desk import desk, fact, facts_file, is_safe, order_of, submit, submitted, work

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


NO_TEXTS = [b"raw", 10**400_000, 1.5, ["x"], {"x": 1}, object()]
ASKED: dict[str, tuple[dict[str, Ask], list[Any]]] = {
    "names that cannot be": (NAMES, REFUSED),
    "no text where a name is": ({name: ask for name, ask in NAMES.items() if name not in ("limit", "time")}, NO_TEXTS),
    "numbers that cannot be": (FIGURES, NUMBERS),
}


@pytest.mark.parametrize(("asks", "values"), ASKED.values(), ids=ASKED)
def test_hostile_arguments_are_refused_everywhere_and_leave_the_log_as_it_was(
    asks: dict[str, Ask], values: list[Any], tmp_path: Path
) -> None:
    ask_all(tmp_path / "day.db", asks, values)


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
            found = order_of(oms, odd)
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


TYPED = [text for text in REFUSED if "\x00" not in text and len(text) < 1_000]  # the rest cannot be typed
WRONG_NUMBERS = [number for number in NUMBERS if isinstance(number, str) and 0 < len(number) < 100]


@pytest.mark.parametrize("bad", TYPED, ids=ascii)
def test_a_hostile_argument_is_one_safe_line_and_leaves_the_log_as_it_was(oms: Oms, bad: str) -> None:
    wrong_usage(
        oms, ["mark", "--", bad, "10"], ["submit", "ADA", "buy", "limit", "10", "10", f"--order-id={bad}"],
        ["submit", "ADA", "buy", "limit", "10", "10", f"--account={bad}"], ["fill", "--", bad, "10", "10"],
        ["cancel", "--", bad], ["quarantine", "accept", "--", bad], ["halt", "--level", bad],
        ["mark", "ADA", "10", f"--occurred-at={bad}"],
    )  # fmt: skip


@pytest.mark.parametrize("bad", WRONG_NUMBERS, ids=ascii)
def test_a_hostile_number_is_one_safe_line_and_leaves_the_log_as_it_was(oms: Oms, bad: str) -> None:
    order = ["submit", "--", "ADA", "buy", "limit", bad, "10"]
    wrong_usage(oms, ["mark", "--", "ADA", bad], order, ["limits", f"max_skew={bad}"])


def wrong_usage(oms: Oms, *commands: list[str]) -> None:
    oms("mark ADA 10")
    before = bytes_of(oms.log)
    for words in commands:
        result = oms(words, code=2)
        assert is_safe(result.output), words
        assert len(result.output) < 4_000, words
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


def fact_with(price: str, symbol: str = "X", seq: str = "1") -> str:
    return f'{{"seq":{seq},"ts":"2012-06-21T13:30:00Z","kind":"mark","symbol":"{symbol}","price":{price}}}'


BAD_FACTS = {
    "deep": DEEP, "deep in a field": fact_with("[" * 20_000 + "]" * 20_000), "list": "[1,2,3]", "null": "null",
    "nothing much": "{}", "long line": submitted(1, order_id=MEGABYTE), "control": fact_with('"1"', "\\u001b[2J"),
    "surrogate": fact_with('"1"', "\\ud800"), "nan": fact_with('"NaN"'), "bare nan": fact_with("NaN"),
    "exponent": fact_with('"1e999999999"'), "bare exponent": fact_with("1e999999"), "float": fact_with("1.5"),
    "huge seq": fact_with('"1"', seq="9" * 5_000), "seq is a bool": fact_with('"1"', seq="true"),
    "huge digits": fact_with(f'"{"9" * 50_000}"'), "unknown kind": fact(1, "'; DROP TABLE events; --", symbol="X"),
    "class": fact(1, "__class__", __reduce__=["os.system", "x"]),
    "time": fact(1, "mark", ts="2012-06-21T13:30:00", symbol="X", price="1"),
    "far time": fact(1, "mark", ts="9999-12-31T23:59:59Z", symbol="X", price="1"),
}  # fmt: skip


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
