"""History from files: facts and LOBSTER days, read and checked first, then taken in once and for all."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from oms_es import OMSOrder, OrderManagementSystem, OrderState
from oms_es.errors import ImportFailed
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import Imported, import_facts
from oms_es.importers.lobster import LobsterDay
from oms_es.timestamps import instant
from oms_es.vocabulary import Origin
from tests.desk import (
    BUY,
    D,
    desk,
    digest_of,
    fact,
    facts_file,
    filled,
    ruled,
    submit,
    submitted,
    take_in,
    these,
    topics_of,
)

Oms = OrderManagementSystem


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "facts.jsonl"


def run(session: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(session, 100))


async def imported(oms: Oms, file: Path, *facts: str, **defaults: str) -> Imported:
    return await take_in(oms, facts_file(file, *facts), **defaults)


def order(oms: Oms, order_id: str, account: str | None = None) -> OMSOrder:
    found = oms.get_order(order_id, account=account)
    assert found is not None
    return found


# --- facts ---


async def test_every_kind_of_fact_has_its_effect(oms: Oms, file: Path) -> None:
    told = await imported(
        oms,
        file,
        fact(1, "mark", symbol="X", price="10.5"),
        submitted(2, "a"),
        submitted(3, "b", side="sell", price="11"),
        submitted(4, "c", order_type="market", price=None),
        filled(5, "a", "40", "10", fee="0.1"),
        fact(6, "reduce", order_id="a", qty="20"),
        fact(7, "replace", order_id="b", qty="120", price="10.9"),
        fact(8, "cancel", order_id="c"),
    )
    assert (told.facts, told.orders, told.fills, told.marks) == (8, 3, 1, 1)
    assert (told.skipped, told.quarantined, told.refused, told.problems) == (0, 0, 0, [])
    assert (told.first_seq, told.last_seq) == (1, oms.log.head().seq)
    assert told.events == oms.log.head().seq
    a, b, c = (order(oms, name) for name in "abc")
    assert these(a.state, a.quantity, a.filled_quantity, a.open_quantity) == (OrderState.WORKING, 80, 40, 40)
    assert these(b.state, b.quantity, b.price) == (OrderState.WORKING, 120, D("10.9"))
    assert these(c.state, c.price, c.open_quantity) == (OrderState.CANCELLED, None, 0)
    position = oms.get_position("X")
    assert position is not None
    assert these(position.quantity, position.mark_price, position.fees) == (40, D("10.5"), D("0.1"))


async def test_the_times_of_an_import_are_the_files(path: Path, file: Path) -> None:
    async with desk(path, settings=ruled(day={"timezone": "America/New_York", "roll": "17:00"})) as oms:
        await oms.record_mark("Y", 1)
        await imported(
            oms,
            file,
            submitted(1, ts="2012-06-21T13:30:00.154178213Z"),
            filled(2, ts="2012-06-21T12:00:00+05:30"),
            fact(3, "cancel", order_id="b", ts="2012-06-22T22:00:00Z"),
            submitted(4, "z", ts="2012-06-21T21:30:00Z"),
        )
        found = list(oms.log.read(after=2))
        first = instant("2012-06-21T13:30:00.154178213Z")
        assert {r.origin for r in found} == {Origin.IMPORT}
        assert found[0].occurred_at == first
        fill = next(r for r in found if type(r.event).__name__ == "FillAdded")
        assert fill.occurred_at == instant("2012-06-21T06:30:00Z")
        assert fill.effective_at == first, "no fill is effective before its order was submitted"
        assert found[0].trading_day == "2012-06-20"
        assert found[-1].trading_day == "2012-06-21"
        assert found[-1].recorded_at > instant("2025-01-01T00:00:00Z")


async def test_facts_with_one_timestamp_keep_the_order_of_the_file(oms: Oms, file: Path) -> None:
    await imported(
        oms,
        file,
        submitted(9, "b", "10"),
        submitted(5, "a", "10", side="sell"),
        filled(7, "b", "10", "1"),
        filled(3, "a", "10", "3"),
        fact(1, "mark", symbol="X", price="1"),
        fact(1, "mark", symbol="X", price="2"),
    )
    assert [r.event.order_id for r in oms.log.read(topics=["FillAdded"])] == ["b", "a"]  # type: ignore[attr-defined]
    for position in (oms.get_position("X"), *oms.positions(as_of="2012-06-21T13:30:00Z")):
        assert position is not None
        assert these(position.realized_pnl, position.mark_price) == (20, 2)


@pytest.mark.parametrize(
    ("facts", "state", "quantity", "open_quantity"),
    [
        ([fact(3, "reduce", order_id="a", qty="30")], "working", 70, 30),
        ([fact(3, "reduce", order_id="a", qty="60")], "filled", 40, 0),
        ([fact(3, "replace", order_id="a", qty="70")], "working", 70, 30),
        ([fact(3, "replace", order_id="a", qty="500")], "working", 500, 460),
        ([fact(3, "replace", order_id="a", qty="40")], "filled", 40, 0),
        ([fact(3, "replace", order_id="a", qty="10")], "filled", 40, 0),
        ([fact(3, "replace", order_id="a", price="99")], "working", 100, 60),
        ([fact(3, "reduce", order_id="a", qty="30"), fact(4, "reduce", order_id="a", qty="30")], "filled", 40, 0),
    ],
)
async def test_reduce_takes_off_what_is_open_and_replace_sets_the_new_total(
    oms: Oms, file: Path, facts: list[str], state: str, quantity: int, open_quantity: int
) -> None:
    told = await imported(oms, file, submitted(1), filled(2, qty="40"), *facts)
    assert told.problems == []
    found = order(oms, "a")
    assert these(found.state.value, found.quantity, found.open_quantity) == (state, quantity, open_quantity)


async def test_an_order_that_is_reduced_to_nothing_is_cancelled(oms: Oms, file: Path) -> None:
    await imported(oms, file, submitted(1), fact(2, "reduce", order_id="a", qty="100"))
    assert order(oms, "a").state is OrderState.CANCELLED


async def test_history_is_judged_neither_by_limits_nor_by_the_price_band(oms: Oms, file: Path) -> None:
    await submit(oms, "o-1")
    await oms.halt()
    told = await imported(oms, file, submitted(1, qty="99999"), filled(2, qty="99999", price="0.01"))
    assert (told.orders, told.fills, told.quarantined) == (1, 1, 0)
    told = await imported(oms, file, submitted(3, "b", "1"), fact(4, "replace", order_id="b", qty="99999"))
    assert told.problems == []


async def test_an_account_stands_in_the_fact_or_comes_from_the_caller(oms: Oms, file: Path) -> None:
    facts = (submitted(1), submitted(2, account="b"), filled(3, account="b"))
    await imported(oms, file, *facts, account="house")
    assert order(oms, "a", "house").filled_quantity == 0
    assert order(oms, "a", "b").filled_quantity == 100


async def test_a_prefix_keeps_ids_apart_that_repeat_every_day(oms: Oms, file: Path) -> None:
    await imported(oms, file, submitted(1), filled(2, qty="10"), id_prefix="mon-")
    again = await imported(oms, file, submitted(1), filled(2, qty="10"), id_prefix="tue-")
    assert (again.orders, again.fills, again.skipped) == (1, 1, 0)
    clash = await imported(oms, file, submitted(1, price="12"), id_prefix="tue-")
    assert (clash.refused, clash.events) == (1, 0)
    assert "id-prefix" in clash.problems[0].why
    assert sorted(each.order_id for each in oms.get_all_orders()) == ["mon-a", "tue-a"]


# --- again ---

DAY = (
    submitted(1),
    filled(2, qty="40"),
    filled(3, qty="40", trade_id=None),
    fact(4, "reduce", order_id="a", qty="10"),
    fact(5, "replace", order_id="a", price="11"),
    fact(6, "cancel", order_id="a"),
    fact(7, "mark", symbol="X", price="9"),
    filled(8, qty="500", trade_id="too much"),
    filled(9, "nobody's"),
    filled(10, "theirs", symbol="X", side="sell"),
)


async def test_importing_again_adds_nothing(path: Path, file: Path) -> None:
    async with desk(path) as oms:
        first = await imported(oms, file, *DAY)
        head = oms.log.head()
        assert (first.facts, first.skipped, first.quarantined) == (10, 0, 2)
        again = await imported(oms, file, *DAY)
        assert (again.facts, again.skipped, again.events) == (10, 10, 0)
        assert (again.first_seq, again.last_seq) == (None, None)
        assert oms.log.head() == head
    async with desk(path) as oms:
        assert (await imported(oms, file, *DAY)).skipped == 10
        assert oms.log.head() == head


async def test_a_fact_is_known_by_what_it_says_and_not_by_its_file_or_its_spelling(
    oms: Oms, file: Path, tmp_path: Path
) -> None:
    await imported(oms, file, *DAY)
    head = oms.log.head()
    respelled = [json.dumps(dict(reversed(json.loads(line).items())), separators=(", ", " :")) for line in DAY]
    told = await imported(oms, tmp_path / "other.jsonl", *respelled, "", "   ")
    assert told.skipped == 10
    assert oms.log.head() == head


async def test_a_fact_twice_in_one_file_counts_once(oms: Oms, file: Path) -> None:
    told = await imported(oms, file, submitted(1), submitted(1), filled(2, qty="30"), filled(2, qty="30"))
    assert (told.facts, told.orders, told.fills, told.skipped) == (4, 1, 1, 2)
    assert order(oms, "a").filled_quantity == 30


async def test_facts_that_differ_in_seq_alone_are_two_facts(oms: Oms, file: Path) -> None:
    told = await imported(
        oms, file, submitted(1), filled(2, qty="30", trade_id=None), filled(3, qty="30", trade_id=None)
    )
    assert told.fills == 2
    assert order(oms, "a").filled_quantity == 60


async def test_a_file_that_has_grown_is_taken_in_from_where_it_grew(path: Path, file: Path) -> None:
    async with desk(path) as oms:
        await imported(oms, file, *DAY[:4])
        told = await imported(oms, file, *DAY)
        assert (told.skipped, told.facts) == (4, 10)
    async with desk(path.with_name("whole.db")) as whole:
        await imported(whole, file, *DAY)
        assert whole.sequencer.state.digest() == digest_of(path)


# --- facts that break a rule ---


async def test_a_fill_that_breaks_a_rule_is_quarantined_counted_and_listed_with_its_line(oms: Oms, file: Path) -> None:
    told = await imported(
        oms,
        file,
        submitted(1),
        "",
        filled(2, qty="101"),
        filled(3, qty="60", trade_id="t"),
        filled(4, qty="61", trade_id="t"),
        filled(5, "nobody's"),
        filled(6, "nobody's", symbol="X"),
    )
    assert (told.fills, told.quarantined, told.refused) == (1, 4, 0)
    assert [(p.line, p.seq, p.kind, p.why) for p in told.problems] == [
        (3, 2, "fill", "overfill"),
        (5, 4, "fill", "conflict"),
        (6, 5, "fill", "unknown_order"),
        (7, 6, "fill", "unknown_order"),
    ]
    waiting = {each.fill.quarantine_id for each in oms.sequencer.state.orders.all_waiting()}
    assert {p.quarantine_id for p in told.problems} == waiting
    assert order(oms, "a").filled_quantity == 60
    assert oms.get_portfolio_summary()["quarantined"] == 4


async def test_a_fill_with_symbol_and_side_opens_an_external_order(oms: Oms, file: Path) -> None:
    told = await imported(
        oms,
        file,
        filled(1, "theirs", "5", symbol="X", side="sell"),
        filled(2, "theirs", "7", symbol="X", side="sell"),
    )
    assert (told.orders, told.fills, told.quarantined) == (1, 2, 0)
    found = order(oms, "theirs")
    assert these(found.external, found.quantity, found.filled_quantity, found.open_quantity) == (
        True,
        12,
        12,
        0,
    )
    assert oms.get_open_orders() == []


async def test_any_other_fact_that_cannot_be_is_listed_and_the_rest_goes_on(oms: Oms, file: Path) -> None:
    told = await imported(
        oms,
        file,
        fact(1, "cancel", order_id="nobody's"),
        submitted(2),
        submitted(3, price="11"),
        fact(4, "reduce", order_id="a", qty="101"),
        fact(5, "cancel", order_id="a"),
        fact(6, "cancel", order_id="a"),
        fact(7, "mark", symbol="X", price="1"),
    )
    assert [(p.line, p.kind) for p in told.problems] == [
        (1, "cancel"),
        (3, "submit"),
        (4, "reduce"),
    ]
    assert all(p.quarantine_id is None and p.why for p in told.problems)
    assert (told.refused, told.skipped, told.orders, told.marks) == (3, 1, 1, 1)
    assert order(oms, "a").state is OrderState.CANCELLED


async def test_a_late_fill_of_a_cancelled_order_is_booked(oms: Oms, file: Path) -> None:
    told = await imported(oms, file, submitted(1), fact(2, "cancel", order_id="a"), filled(3, qty="10"))
    assert (told.fills, told.problems) == (1, [])
    assert order(oms, "a").fills[0]["late"] is True


# --- damaged files ---

GOOD = submitted(1).encode()
BAD_LINES: dict[str, bytes] = {
    "cut off": GOOD[:-20],
    "no JSON": b"hello",
    "two objects": GOOD + GOOD,
    "a list": b"[1,2]",
    "a number": b"7",
    "null": b"null",
    "no UTF-8": GOOD.replace(b'"X"', b'"\xff\xfe"'),
    "a lone surrogate": GOOD.replace(b'"X"', b'"\\ud800"'),
    "a byte order mark in the middle": b"\xef\xbb\xbf" + GOOD,
    "a NUL": b"\x00" * 40,
    "a huge line": GOOD[:-1] + b', "note": "' + b"x" * 100_000 + b'"}',
    "deep nesting": b'{"a":' * 5000,
    "a quantity that is a JSON number": GOOD.replace(b'"100"', b"100"),
    "a price that is a JSON number": GOOD.replace(b'"10"', b"10.5"),
    "a quantity with an exponent": GOOD.replace(b'"100"', b'"1e2"'),
    "a quantity of nothing": GOOD.replace(b'"100"', b'"0"'),
    "a negative quantity": GOOD.replace(b'"100"', b'"-5"'),
    "a quantity that is no number": GOOD.replace(b'"100"', b'"many"'),
    "a fullwidth quantity": GOOD.replace(b'"100"', '"１００"'.encode()),
    "no quantity": GOOD.replace(b'"qty"', b'"size"'),
    "no price": GOOD.replace(b'"price"', b'"cost"'),
    "no kind": GOOD.replace(b'"kind"', b'"sort"'),
    "an unknown kind": GOOD.replace(b'"submit"', b'"sumbit"'),
    "no seq": GOOD.replace(b'"seq"', b'"number"'),
    "a seq that is text": GOOD.replace(b'"seq": 1', b'"seq": "1"'),
    "a seq that is no whole number": GOOD.replace(b'"seq": 1', b'"seq": 1.5'),
    "a seq that is true": GOOD.replace(b'"seq": 1', b'"seq": true'),
    "a seq below 0": GOOD.replace(b'"seq": 1', b'"seq": -1'),
    "a seq beyond 64 bits": GOOD.replace(b'"seq": 1', b'"seq": 99999999999999999999999'),
    "no time": GOOD.replace(b'"ts"', b'"time"'),
    "a time without a zone": GOOD.replace(b"00Z", b"00"),
    "a time that never was": GOOD.replace(b"06-21", b"02-30"),
    "a time that is a number": GOOD.replace(b'"2012-06-21T13:30:00Z"', b"1340285400"),
    "an unknown side": GOOD.replace(b'"buy"', b'"long"'),
    "an unknown type": GOOD.replace(b'"limit"', b'"stop"'),
    "a control character": GOOD.replace(b'"X"', b'"X\\u0007"'),
    "an id that is a number": GOOD.replace(b'"a"', b"17"),
    "an id without an end": GOOD.replace(b'"a"', b'"' + b"a" * 129 + b'"'),
    "an impossible account": GOOD[:-1] + b', "account": "a/b"}',
    "a trade id that is a number": filled(1).encode().replace(b'"t1"', b"1"),
    "a fee that is a JSON number": filled(1, fee="x").encode().replace(b'"x"', b"0.5"),
    "a replace without anything": fact(1, "replace", order_id="a").encode(),
    "a mark without a price": fact(1, "mark", symbol="X").encode(),
    "a mark at NaN": fact(1, "mark", symbol="X", price="NaN").encode(),
}


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
async def test_a_bad_line_is_named_with_its_file_and_nothing_is_written(path: Path, file: Path, bad: bytes) -> None:
    lines = [submitted(number, f"o-{number}").encode() for number in range(1, 2001)]
    lines[1499] = bad
    file.write_bytes(b"\n".join(lines) + b"\n")

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"facts\.jsonl:1500: ") as error:
            await take_in(oms, file)
        assert isinstance(error.value, ValueError)
        assert len(str(error.value)) < 1000
        assert "\x07" not in str(error.value)

    assert not path.exists()


async def test_a_bad_line_leaves_a_log_that_was_there_as_it_was(oms: Oms, file: Path) -> None:
    await submit(oms, "o-1")
    head = oms.log.head()
    with pytest.raises(ImportFailed, match=r"facts\.jsonl:2: "):
        await imported(oms, file, submitted(1), "{")
    assert oms.log.head() == head


async def test_a_file_whose_last_line_lacks_its_end_is_read_when_the_line_is_whole(oms: Oms, file: Path) -> None:
    file.write_text(f"{submitted(1)}\r\n\n{filled(2)}")

    told = await take_in(oms, file)
    assert (told.orders, told.fills) == (1, 1)


async def test_an_empty_file_brings_nothing(path: Path, file: Path) -> None:
    async with desk(path) as oms:
        assert (await imported(oms, file)).facts == 0

    assert not path.exists()


@pytest.mark.parametrize("make", [lambda _: None, lambda path: path.mkdir()], ids=["missing", "a folder"])
async def test_a_file_that_is_not_there_is_named(path: Path, file: Path, make: Callable[[Path], None]) -> None:
    make(file)

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"facts\.jsonl"):
            await take_in(oms, file)

    assert not path.exists()


def packed(*facts: str) -> bytes:
    return gzip.compress("".join(f"{each}\n" for each in facts).encode(), mtime=0)


async def test_a_gzip_file_is_unpacked(oms: Oms, tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl.gz"
    file.write_bytes(packed(submitted(1), filled(2)))

    told = await take_in(oms, file)
    assert (told.orders, told.fills) == (1, 1)


WHOLE = packed(*(submitted(number, f"o-{number}", price=str(number**3 % 977)) for number in range(3000)))
BROKEN_PACKS: dict[str, bytes] = {
    "cut off in the middle": WHOLE[: len(WHOLE) // 2],
    "cut off before its checksum": WHOLE[:-8],
    "cut off in its checksum": WHOLE[:-2],
    "no gzip at all": b"hello",
    "a byte changed": WHOLE[: len(WHOLE) // 2] + bytes([WHOLE[len(WHOLE) // 2] ^ 0xFF]) + WHOLE[len(WHOLE) // 2 + 1 :],
    "nonsense inside": WHOLE[:10] + b"\xff" * 100,
    "a wrong checksum": WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:],
    "something behind it": WHOLE + b"more",
}


@pytest.mark.parametrize("raw", BROKEN_PACKS.values(), ids=BROKEN_PACKS)
async def test_a_gzip_file_that_cannot_be_read_to_its_end_is_named_and_nothing_is_written(
    path: Path, tmp_path: Path, raw: bytes
) -> None:
    file = tmp_path / "facts.jsonl.gz"
    file.write_bytes(raw)

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"facts\.jsonl\.gz"):
            await take_in(oms, file)

    assert not path.exists()


# --- LOBSTER ---

# time, type, order id, size, price x 10000, direction; then best ask, its size, best bid, its size after it.
ROWS = """\
34200.000000001,4,900,5,2239500,-1        | 2239500,100,2231800,100
34200.000000001,2,900,5,2239500,-1        | 2239500,100,2231800,100
34200.5,3,900,5,2239500,-1                | 2239500,100,2231800,100
34201,1,1,100,2240000,1                   | 2250000,100,2240000,100
34202,1,2,50,2250000,-1                   | 2250000,50,2240000,100
34203.25,4,1,30,2240000,1                 | 2250000,50,2240000,70
34204,2,1,20,2240000,1                    | 2250000,50,2240000,50
34205,5,0,7,2245000,-1                    | 2250000,50,2240000,50
34206,6,-1,100,2245000,1                  | 2250000,50,2240000,50
34207,7,0,0,-1,-1                         | 2250000,50,2240000,50
34260,3,2,45,2250000,-1                   | 9999999999,0,2240000,50
34260.1,4,1,50,2240000,1                  | 9999999999,0,-9999999999,0
34261,1,3,10,2240001,1                    | 2240100,10,2240001,10
"""
ROW_LINES = [line.partition("|") for line in ROWS.splitlines()]
MESSAGES = [message.strip() for message, _, _ in ROW_LINES]
BOOK = [quote.strip() for _, _, quote in ROW_LINES]


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    return facts_file(tmp_path / "message.csv", *MESSAGES)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return facts_file(tmp_path / "orderbook.csv", *BOOK)


def day_of(messages: Path, book: Path | None = None, **defaults: str) -> LobsterDay:
    return LobsterDay(messages, "AMZN", date(2012, 6, 21), book, Defaults(**defaults))


async def test_every_type_of_row_becomes_a_fact_or_is_counted(oms: Oms, messages: Path, book: Path) -> None:
    day = day_of(messages, book)
    told = await import_facts(oms.sequencer, day.read)

    assert day.left.rows_out() == {
        "rows": 13,
        "submissions": 3,
        "executions": 2,
        "reductions": 1,
        "deletions": 1,
        "marks": 2,
        "earlier_executions": 1,
        "earlier_reductions": 1,
        "earlier_deletions": 1,
        "hidden_executions": 1,
        "cross_trades": 1,
        "halts": 1,
        "uneven_deletions": 1,
    }
    assert (told.facts, told.orders, told.fills, told.marks, told.problems) == (9, 3, 2, 2, [])
    one, two, three = (order(oms, name) for name in "123")
    assert these(one.state, one.side, one.quantity, one.filled_quantity) == (OrderState.FILLED, BUY, 80, 80)
    assert these(one.price, one.avg_fill_price) == (224, 224)
    assert these(two.state, two.side.value, two.filled_quantity) == (OrderState.CANCELLED, "sell", 0)
    assert (three.state, three.price) == (OrderState.WORKING, D("224.0001"))


async def test_the_times_of_a_day_are_those_of_new_york(oms: Oms, messages: Path) -> None:
    await import_facts(oms.sequencer, day_of(messages).read)
    times = [r.occurred_at for r in oms.log.read(topics=["FillAdded"])]
    assert times == [instant("2012-06-21T13:30:03.250Z"), instant("2012-06-21T13:31:00.1Z")]
    await import_facts(
        oms.sequencer, LobsterDay(messages, "AMZN", date(2012, 1, 3), None, Defaults(id_prefix="w-")).read
    )
    winter = list(oms.log.read(topics=["FillAdded"]))[-1].occurred_at
    assert winter == instant("2012-01-03T14:31:00.1Z")


async def test_the_mark_is_the_middle_at_the_first_row_of_each_minute_that_has_one(
    oms: Oms, messages: Path, book: Path
) -> None:
    await import_facts(oms.sequencer, day_of(messages, book).read)
    marks = [(r.occurred_at, str(getattr(r.event, "price", ""))) for r in oms.log.read(topics=["MarkRecorded"])]
    assert marks == [
        (instant("2012-06-21T13:30:00.000000001Z"), "223.565"),
        (instant("2012-06-21T13:31:01Z"), "224.00505"),  # the rows before it have an empty side
    ]


async def test_a_day_again_adds_nothing_and_a_prefix_keeps_days_apart(oms: Oms, messages: Path, book: Path) -> None:
    first = await import_facts(oms.sequencer, day_of(messages, book).read)
    head = oms.log.head()
    again = await import_facts(oms.sequencer, day_of(messages, book).read)
    assert (again.skipped, again.events) == (first.facts, 0)
    assert oms.log.head() == head
    other = await import_facts(oms.sequencer, day_of(messages, None, id_prefix="2-", account="b").read)
    assert (other.orders, other.skipped) == (3, 0)
    assert order(oms, "2-1", "b").filled_quantity == 80


BAD_ROWS: dict[str, str] = {
    "too few columns": "34205,1,9,100,2240000",
    "too many columns": "34205,1,9,100,2240000,1,extra",
    "no type there is": "34205,8,9,100,2240000,1",
    "no direction there is": "34205,1,9,100,2240000,0",
    "a price that is no whole number": "34205,1,9,100,224.5,1",
    "a size that is no number": "34205,1,9,many,2240000,1",
    "a size of nothing": "34205,1,9,0,2240000,1",
    "a size below nothing": "34205,1,9,-5,2240000,1",
    "an id that is no number": "34205,1,nine,100,2240000,1",
    "a time after midnight": "86400,1,9,100,2240000,1",
    "a time that is no number": "9:30,1,9,100,2240000,1",
    "a time below nothing": "-1,1,9,100,2240000,1",
    "a time finer than ns": "34205.0000000001,1,9,100,2240000,1",
    "an empty row": "",
    "bytes that are no text": "34205,1,9,100,2240000,\udcff1",
    "digits of another script": "34205,1,9,１００,2240000,1",
}


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
async def test_a_bad_row_is_named_with_its_file_and_nothing_is_written(path: Path, tmp_path: Path, bad: str) -> None:
    file = tmp_path / "message.csv"
    rows = [*MESSAGES[:8], bad, *MESSAGES[8:]]
    file.write_bytes("".join(f"{row}\n" for row in rows).encode("utf-8", "surrogateescape"))

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"message\.csv:9: "):
            await import_facts(oms.sequencer, day_of(file).read)

    assert not path.exists()


async def test_a_row_that_was_cut_off_is_named(path: Path, messages: Path) -> None:
    messages.write_bytes(messages.read_bytes()[:-5])

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"message\.csv:13: .*cut off"):
            await import_facts(oms.sequencer, day_of(messages).read)

    assert not path.exists()


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (BOOK[:-1], r"orderbook\.csv.*13"),
        ([*BOOK, BOOK[0]], r"orderbook\.csv.*more rows"),
        (["a,b,c,d", *BOOK[1:]], r"orderbook\.csv:1: "),
        (["1,2,3", *BOOK[1:]], r"orderbook\.csv:1: "),
    ],
    ids=["too short", "too long", "no numbers", "too few columns"],
)
async def test_a_book_that_does_not_fit_its_messages_is_named(
    path: Path, messages: Path, tmp_path: Path, rows: list[str], names: str
) -> None:
    book = facts_file(tmp_path / "orderbook.csv", *rows)

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=names):
            await import_facts(oms.sequencer, day_of(messages, book).read)

    assert not path.exists()


def amazon(shared_path: Path) -> LobsterDay:
    stem = shared_path / "data/lobster/AMZN_2012-06-21_34200000_57600000"
    return day_of(Path(f"{stem}_message_1.csv"), Path(f"{stem}_orderbook_1.csv"))


def test_every_row_of_the_real_day_of_amazon_is_accounted_for(shared_path: Path) -> None:
    """Source of the counts: LOBSTER's sample of 2012-06-21, counted by itself with another program."""
    day = amazon(shared_path)

    kinds = Counter(fact.kind for fact in day.read())

    assert day.left.rows_out() == {
        "rows": 57_515,
        "submissions": 27_845,
        "executions": 5_903,
        "reductions": 12,
        "deletions": 13_843,
        "marks": 390,
        "earlier_executions": 3_071,
        "earlier_reductions": 4,
        "earlier_deletions": 4_392,
        "hidden_executions": 2_445,
        "cross_trades": 0,
        "halts": 0,
        "uneven_deletions": 1,
    }
    assert kinds == {"submit": 27_845, "fill": 5_903, "reduce": 12, "cancel": 13_843, "mark": 390}


@pytest.mark.parametrize("part", [2_000, pytest.param(None, marks=pytest.mark.torture)], ids=["a part", "whole"])
async def test_the_real_day_of_amazon_comes_in_once(part: int | None, oms: Oms, shared_path: Path) -> None:
    day = amazon(shared_path)
    facts = list(islice(day.read(), part))

    told = await import_facts(oms.sequencer, lambda: iter(facts))
    assert (told.facts, told.skipped, told.quarantined, told.refused) == (len(facts), 0, 0, 0)
    assert told.problems == []
    assert told.orders == sum(fact.kind == "submit" for fact in facts)
    assert topics_of(oms.log).count("FillAdded") == told.fills == sum(fact.kind == "fill" for fact in facts)
    head = oms.log.head()
    again = await import_facts(oms.sequencer, lambda: iter(facts))
    assert (again.skipped, again.events) == (len(facts), 0)
    assert oms.log.head() == head


def test_facts_are_read_one_by_one_and_need_no_log(file: Path) -> None:
    facts_file(file, *DAY)

    found = list(read_facts(file, Defaults()))

    assert [each.line for each in found] == list(range(1, 11))
    assert len({each.request.command_id for each in found}) == 10
