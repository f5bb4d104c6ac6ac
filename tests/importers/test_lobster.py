"""LOBSTER days: rows become facts, and what is left out is counted."""

from collections import Counter
from datetime import date
from itertools import islice
from pathlib import Path

import pytest

from oms_es import OrderState
from oms_es.errors import ImportFailed
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import import_facts
from oms_es.importers.lobster import LobsterDay
from oms_es.timestamps import instant
from tests.desk import BUY, D, desk, facts_file, is_safe, order_of, these, topics_of
from tests.importers.importing import DAY, Oms

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
        "rows": 13, "submissions": 3, "executions": 2, "reductions": 1, "deletions": 1, "marks": 2,
        "earlier_executions": 1, "earlier_reductions": 1, "earlier_deletions": 1, "hidden_executions": 1,
        "cross_trades": 1, "halts": 1, "uneven_deletions": 1,
    }  # fmt: skip
    assert (told.facts, told.orders, told.fills, told.marks, told.problems) == (9, 3, 2, 2, [])
    one, two, three = (order_of(oms, name) for name in "123")
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
    assert order_of(oms, "2-1", "b").filled_quantity == 80


BAD_ROWS: dict[str, str] = {
    "too few columns": "34205,1,9,100,2240000", "too many columns": "34205,1,9,100,2240000,1,extra",
    "no type there is": "34205,8,9,100,2240000,1", "no direction there is": "34205,1,9,100,2240000,0",
    "a price that is no whole number": "34205,1,9,100,224.5,1",
    "a size that is no number": "34205,1,9,many,2240000,1", "a size of nothing": "34205,1,9,0,2240000,1",
    "a size below nothing": "34205,1,9,-5,2240000,1", "an id that is no number": "34205,1,nine,100,2240000,1",
    "a time after midnight": "86400,1,9,100,2240000,1", "a time that is no number": "9:30,1,9,100,2240000,1",
    "a time below nothing": "-1,1,9,100,2240000,1", "a time finer than ns": "34205.0000000001,1,9,100,2240000,1",
    "an empty row": "", "bytes that are no text": "34205,1,9,100,2240000,\udcff1",
    "digits of another script": "34205,1,9,１００,2240000,1", "a time of NaN": "nan,1,9,100,2240000,1",
    "a time with an exponent": "1e9,1,9,100,2240000,1", "a price with an exponent": "34205,1,9,100,1e99,1",
    "SQL": "34205,1,'; DROP TABLE events; --,100,2240000,1", "a terminal's escape": "34205,1,\x1b[2J,100,2240000,1",
    "a NUL": "34205,\x00,9,100,2240000,1", "a size without an end": "34205,1,9," + "9" * 50_000 + ",2240000,1",
    "an id without an end": "34205,1," + "9" * 50_000 + ",100,2240000,1",
    "a time without an end": "9" * 10_000 + ",1,9,100,2240000,1", "columns without an end": "," * 60_000,
    "a row without an end": "1" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
async def test_a_bad_row_is_named_with_its_file_and_nothing_is_written(path: Path, tmp_path: Path, bad: str) -> None:
    file = tmp_path / "message.csv"
    rows = [*MESSAGES[:8], bad, *MESSAGES[8:]]
    file.write_bytes("".join(f"{row}\n" for row in rows).encode("utf-8", "surrogateescape"))

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"message\.csv:9: ") as error:
            await import_facts(oms.sequencer, day_of(file).read)

    assert is_safe(str(error.value))
    assert len(str(error.value)) < 2_000
    assert not path.exists()


async def test_a_row_that_was_cut_off_is_named(path: Path, messages: Path) -> None:
    messages.write_bytes(messages.read_bytes()[:-5])

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"message\.csv:13: .*cut off"):
            await import_facts(oms.sequencer, day_of(messages).read)

    assert not path.exists()


@pytest.mark.parametrize(("rows", "names"), [
    (BOOK[:-1], r"orderbook\.csv.*13"),
    ([*BOOK, BOOK[0]], r"orderbook\.csv.*more rows"),
    (["a,b,c,d", *BOOK[1:]], r"orderbook\.csv:1: "),
    (["1,2,3", *BOOK[1:]], r"orderbook\.csv:1: "),
], ids=["too short", "too long", "no numbers", "too few columns"])  # fmt: skip
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
        "rows": 57_515, "submissions": 27_845, "executions": 5_903, "reductions": 12, "deletions": 13_843,
        "marks": 390, "earlier_executions": 3_071, "earlier_reductions": 4, "earlier_deletions": 4_392,
        "hidden_executions": 2_445, "cross_trades": 0, "halts": 0, "uneven_deletions": 1,
    }  # fmt: skip
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
