"""Answers from checkpoints are those of a fold from zero, however late, busted or corrected the fills are."""

import asyncio
import functools
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from oms_es import Settings, errors
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted
from oms_es.log import insert
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots import builder
from oms_es.projections.snapshots.builder import advance, forget
from oms_es.projections.snapshots.fill_index import FILL_TOPICS, fill_events_of
from oms_es.projections.snapshots.positions_at import cache_path
from oms_es.queries.queries import AsOf, Basis, Queries
from oms_es.timestamps import SECOND
from oms_es.vocabulary import CostMethod
from tests.trading_desk import TradingDesk

START = 1_700_000_000 * SECOND
SYMBOLS = ("ALFA", "BETA")


def few_and_many(few: int, many: int) -> list[Any]:
    """Return seeds, of which all but the first few are only tried by `make torture`."""
    return [*range(few), *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(few, many))]


FREE = Settings.from_mapping(
    {
        "risk": {"max_position_size": None, "max_daily_loss": None, "max_open_orders": None},
        "trading": {"min_quote_size": None, "max_skew": None},
        "fills": {"price_band": None},
        "system": {"position_snapshot_interval": 10**9},  # checkpoints come when the test makes them
    }
)


class RandomDesk(TradingDesk):
    """A desk whose fills come late, are busted and corrected, by a seeded dice."""

    def __init__(self, path: Path, seed: int, pace: int = SECOND) -> None:
        super().__init__(path, START, FREE, "normal")
        self.dice = random.Random(seed)
        self.pace = pace
        self.fills: list[tuple[str, str]] = []
        self.orders = 0

    def copied(self, folder: Path) -> "RandomDesk":
        """Return the desk as it is, over a copy of its files."""
        for file in self.path.parent.glob(f"{self.path.name}*"):
            shutil.copy(file, folder)
        copy = RandomDesk(folder / self.path.name, seed=0, pace=self.pace)
        copy.dice.setstate(self.dice.getstate())
        copy.now, copy.fills, copy.orders = self.now, list(self.fills), self.orders
        return copy

    async def work(self, steps: int) -> None:
        for _ in range(steps):
            self.now += self.dice.choice([0, 1, 1, 2]) * self.pace
            with suppress(errors.UnknownFill):  # busted before
                await self._step(self.dice.random())

    async def trade(self, symbol: str, late: int) -> None:
        """Buy one, executed so many ns ago."""
        self.now += self.pace
        self.orders += 1
        order, trade = f"o-{self.orders}", f"t-{self.orders}"
        await self.oms.submit_order(symbol, "buy", "market", 1, order_id=order, occurred_at=START)
        await self.oms.add_fill(order, 1, 100, trade, occurred_at=self.now - late)

    async def _step(self, choice: float) -> None:
        late = self.now - self.dice.choice([0, 0, 0, 1, 5, 40]) * SECOND
        price = self.dice.randrange(90, 110)
        if choice < 0.15:
            await self.oms.record_mark(self.dice.choice(SYMBOLS), price, occurred_at=max(late, START))
        elif choice < 0.25 and self.fills:
            await self.oms.bust_fill(*self.dice.choice(self.fills))
        elif choice < 0.35 and self.fills:
            await self.oms.correct_fill(*self.dice.choice(self.fills), fill_price=price)
        else:
            self.orders += 1
            order, trade = f"o-{self.orders}", f"t-{self.orders}"
            side, quantity = self.dice.choice(["buy", "sell"]), self.dice.randrange(1, 20)
            symbol = self.dice.choice(SYMBOLS)
            await self.oms.submit_order(symbol, side, "market", quantity, order_id=order, occurred_at=START)
            await self.oms.add_fill(order, quantity, price, trade, "0.25", occurred_at=max(late, START))
            self.fills.append((order, trade))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int, int], RandomDesk]:
    """Return a desk by its seed, the steps that it has worked, and how often it has a checkpoint; each made once."""

    @functools.cache
    def make(seed: int, steps: int, every: int) -> RandomDesk:
        desk = RandomDesk(tmp_path_factory.mktemp("made") / "day.db", seed)
        asyncio.run(desk.work(steps))
        advance(desk.log, every=every)
        desk.log.close()
        return desk

    return make


@pytest.fixture
def worked(made: Callable[[int, int, int], RandomDesk], tmp_path: Path) -> Callable[[int, int, int], RandomDesk]:
    """Return a copy of such a desk."""
    return lambda seed, steps, every: made(seed, steps, every).copied(tmp_path)


Worked = Callable[[int, int, int], RandomDesk]


def moments(desk: RandomDesk, count: int) -> Iterator[AsOf]:
    last = desk.log.head().seq
    for _ in range(count):
        as_of = desk.dice.randrange(START - SECOND, desk.now + 2 * SECOND, SECOND)
        known_at = desk.dice.randrange(START - SECOND, desk.now + 2 * SECOND, SECOND)
        yield AsOf(as_of=as_of)
        yield AsOf(known_at=known_at)
        yield AsOf(as_of=as_of, known_at=known_at)
        yield AsOf(at_seq=desk.dice.randrange(0, last + 2))


@functools.cache
def from_zero(log_id: str, when: str) -> dict[str, Any]:  # noqa: ARG001
    """Return a place for the answers of a log at a moment, folded from zero once for all copies of the log."""
    return {}


def folded(queries: Queries, basis: Basis) -> dict[str, Any]:
    """Return the answers of a fold from zero."""
    meta = queries._log.meta()  # type: ignore[attr-defined]
    found = from_zero(meta.log_id, repr(basis))
    if not found:
        slow = queries.booked(basis)
        found["rows"], found["lots"] = slow.rows(), slow.lots()
        found["days"] = (slow.day_rows(), sorted(slow.brought.items()))
        found["moves"] = {symbol: all_moves(queries, symbol, basis) for symbol in SYMBOLS}
    return found


def same(queries: Queries, basis: Basis) -> bool:
    quick, days, right = queries.positions(basis), queries.with_days(basis), folded(queries, basis)
    return (
        (days.day_rows(), sorted(days.brought.items())) == right["days"]
        and all(queries.fill_events(symbol, basis) == moves for symbol, moves in right["moves"].items())
        and all((each.rows(), each.lots()) == (right["rows"], right["lots"]) for each in (quick, days))
    )


def all_moves(queries: Queries, symbol: str, basis: Basis) -> list[Recorded]:
    return list(fill_events_of(symbol, queries._log.read(until=basis.seq, topics=FILL_TOPICS)))


@pytest.mark.parametrize("seed", few_and_many(4, 12))
def test_an_answer_from_checkpoints_is_that_of_a_fold_from_zero(seed: int, tmp_path: Path) -> None:
    desk = RandomDesk(tmp_path / "day.db", seed)
    for _ in range(4):
        asyncio.run(desk.work(25))
        if desk.dice.random() < 0.8:
            advance(desk.log, every=desk.dice.choice([1, 4, 9]))
        queries = Queries(desk.log)

        wrong = [
            basis
            for when in moments(desk, 3)
            for method in CostMethod
            if not same(queries, basis := queries.basis(when, method))
        ]

        assert not wrong
    desk.log.close()


def test_an_answer_starts_from_a_checkpoint_and_not_from_zero(worked: Worked) -> None:
    desk = worked(1, 60, 5)
    read = _reads(desk.log)

    Queries(desk.log).positions(Queries(desk.log).basis(AsOf(as_of=desk.now), CostMethod.FIFO))

    assert max(read) < desk.log.head().seq / 2
    desk.log.close()


def _reads(log: SqliteLog) -> list[int]:
    """Count from here on how many events each read of the log returns."""
    counts, read, pick = [0], log.read, log.pick

    def counting(*args: object, **options: object) -> Iterator[object]:
        found = list(read(*args, **options))  # type: ignore[arg-type]
        counts.append(len(found))
        return iter(found)

    def picking(seqs: list[int]) -> list[object]:
        counts.append(len(seqs))
        return list(pick(seqs))

    log.read, log.pick = counting, picking  # type: ignore[method-assign,assignment]
    return counts


def test_daily_pnl_starts_from_a_checkpoint_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "OVERTAKEN", 1)  # every state that is overtaken stays; its days do not
    desk = RandomDesk(tmp_path / "day.db", seed=1, pace=3600 * SECOND)
    asyncio.run(desk.work(200))
    advance(desk.log, every=5)
    queries, last = Queries(desk.log), desk.log.head().seq
    asked = [AsOf(), AsOf(at_seq=last * 9 // 10), AsOf(as_of=desk.now), AsOf(as_of=desk.now - 30 * 3600 * SECOND)]
    right = [queries.booked(queries.basis(when, CostMethod.LIFO)).day_rows() for when in asked]
    read = _reads(desk.log)

    for when, rows in zip(asked, right, strict=True):
        del read[:]
        assert queries.days(queries.basis(when, CostMethod.LIFO)) == rows
        assert len(rows) > 10
        assert read[0] <= 5  # the tail; a bust in it reads the fills of its book
        queries.booked(queries.basis(when, CostMethod.LIFO))
        assert read[-1] > 100

    before = desk.now
    asyncio.run(desk.trade("GAMMA", late=10 * 3600 * SECOND))
    advance(desk.log, every=5)
    overtaken = queries.basis(AsOf(as_of=before, known_at=before), CostMethod.LIFO)
    del read[:]
    assert queries.days(overtaken) == rows_as_of(desk, overtaken)
    assert read[0] < 50
    desk.log.close()


def rows_as_of(desk: RandomDesk, basis: Basis) -> list[dict[str, object]]:
    return Queries(SqliteLog(desk.log.path)).booked(basis).day_rows()


def test_checkpoints_store_only_the_days_that_have_changed(tmp_path: Path) -> None:
    desk = RandomDesk(tmp_path / "day.db", seed=1, pace=3600 * SECOND)
    asyncio.run(desk.work(150))
    advance(desk.log, every=4)
    before = _days_kept(desk)

    asyncio.run(desk.trade("GAMMA", late=0))
    advance(desk.log)
    asyncio.run(desk.trade("GAMMA", late=0))
    advance(desk.log)
    after = _days_kept(desk)

    assert {series: after[series] - before[series] for series in before} == dict.fromkeys(before, 2)
    asyncio.run(desk.trade("GAMMA", late=desk.now - START))
    advance(desk.log, every=4)
    again = _days_kept(desk)
    assert again["known fifo"] == after["known fifo"] + 1
    assert again["as of fifo"] <= after["as of fifo"] + before["as of fifo"] // 2  # folded again, not a second time
    with closing(sqlite3.connect(cache_path(desk.log))) as cache:
        twice = "SELECT 1 FROM as_of WHERE valid_until IS NULL GROUP BY method, effective_at, seq HAVING count(*) > 1"
        assert cache.execute(twice).fetchall() == []
    desk.log.close()


def _busted(desk: RandomDesk) -> int:
    """Return the seq of a fill of BETA that was busted: nothing that is held tells of it."""
    busted = {
        (each.event.order_id, each.event.trade_id)
        for each in desk.log.read()
        if isinstance(each.event, FillBusted) and each.event.symbol == "BETA"
    }
    fills = [each for each in desk.log.read() if isinstance(each.event, FillAdded)]
    return next(
        each.seq
        for each in fills
        if isinstance(each.event, FillAdded) and (each.event.order_id, each.event.trade_id) in busted
    )


def _days_kept(desk: RandomDesk) -> dict[str, int]:
    """Return how many rows are kept for what the days brought."""
    with closing(sqlite3.connect(cache_path(desk.log))) as cache:
        return dict(cache.execute("SELECT series, count(*) FROM days GROUP BY series"))


def test_the_moves_of_a_symbol_are_read_alone(worked: Worked) -> None:
    desk = worked(1, 150, 9)
    queries = Queries(desk.log)
    basis = queries.basis(AsOf(at_seq=desk.log.head().seq - 5))
    right, read = all_moves(queries, "BETA", basis), _reads(desk.log)

    assert queries.fill_events("BETA", basis) == right
    assert max(read) <= len(right)
    desk.log.close()


@pytest.mark.parametrize("harm", [
    "DELETE FROM fills WHERE symbol = 'BETA'",
    "DELETE FROM fills WHERE symbol = 'BETA' AND restated > 0",
    "DELETE FROM fills WHERE seq = (SELECT max(seq) FROM fills WHERE symbol = 'BETA')",
    "DELETE FROM fills WHERE seq = (SELECT min(seq) FROM fills WHERE symbol = 'BETA')",
    "UPDATE fills SET symbol = 'BETB' WHERE symbol = 'BETA'",
    "DELETE FROM fills WHERE seq = {busted}",
    "UPDATE fills SET restated = 0",
    "DELETE FROM restatements",
    "DELETE FROM restatements WHERE seq = (SELECT min(seq) FROM restatements)",
    "DELETE FROM fills WHERE symbol = 'BETA'; DELETE FROM books WHERE symbol = 'BETA'",
    "DELETE FROM fills WHERE seq = (SELECT max(seq) FROM fills); UPDATE books SET fills = fills - 1",
    "DELETE FROM days WHERE seq = (SELECT max(seq) FROM days)",
    "DELETE FROM days WHERE series LIKE 'as of%'",
    "UPDATE days SET day = (SELECT day FROM days LIMIT 1)",
    "UPDATE days SET key = key || x'00'",
])  # fmt: skip
def test_an_index_that_was_damaged_changes_no_answer(harm: str, worked: Worked) -> None:
    desk = worked(1, 150, 9)
    queries, asked = Queries(desk.log), list(moments(desk, 3))

    with closing(sqlite3.connect(cache_path(desk.log), isolation_level=None)) as cache:
        cache.executescript(harm.format(busted=_busted(desk)))
        assert cache.total_changes

    assert all(same(queries, queries.basis(when, CostMethod.FIFO)) for when in asked)
    asyncio.run(desk.work(20))
    advance(desk.log, every=9)
    assert all(same(queries, queries.basis(when, CostMethod.FIFO)) for when in asked[::5])
    desk.log.close()


@pytest.mark.parametrize("harm", ["delete", "garbage", "truncate", "change a state", "another log's"])
def test_checkpoints_that_are_gone_or_damaged_change_no_answer(harm: str, worked: Worked, tmp_path: Path) -> None:
    desk = worked(3, 60, 5)
    path = cache_path(desk.log)
    _harm(harm, path, tmp_path)

    queries = Queries(desk.log)
    right = all(same(queries, queries.basis(when, CostMethod.FIFO)) for when in moments(desk, 5))

    assert right
    asyncio.run(desk.work(15))
    advance(desk.log, every=5)
    assert all(same(queries, queries.basis(when, CostMethod.FIFO)) for when in moments(desk, 5))
    forget(desk.log)
    assert not path.exists()
    desk.log.close()


@pytest.mark.parametrize("seed", few_and_many(4, 16))
def test_a_cache_with_damaged_pages_changes_no_answer(seed: int, worked: Worked) -> None:
    desk = worked(5, 60, 5)
    path, dice = cache_path(desk.log), random.Random(seed)
    whole = path.read_bytes()
    queries = Queries(desk.log)
    bases = [queries.basis(when, CostMethod.FIFO) for when in moments(desk, 1)]
    answers = [folded(queries, basis) for basis in bases]
    right = [(each["rows"], each["days"][0], each["moves"]["BETA"]) for each in answers]

    for _ in range(12):
        damaged = bytearray(whole)
        page = dice.randrange(len(whole) // 4096) * 4096
        if dice.random() < 0.5:
            damaged[page : page + 4096] = bytes(4096)
        else:
            for _ in range(40):
                damaged[page + dice.randrange(4096)] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        found = [
            (queries.positions(basis).rows(), queries.days(basis), queries.fill_events("BETA", basis))
            for basis in bases
        ]
        assert found == right
    desk.log.close()


def test_a_bust_reads_the_fills_of_its_own_book_only(worked: Worked) -> None:
    desk = worked(1, 150, 50)
    order, trade = desk.fills[-1]
    asyncio.run(desk.oms.bust_fill(order, trade))
    read = _reads(desk.log)
    queries = Queries(desk.log)

    found = queries.positions(queries.basis(AsOf(at_seq=desk.log.head().seq), CostMethod.FIFO))

    assert sum(read) < desk.log.head().seq / 2
    assert found.rows() == Queries(SqliteLog(desk.log.path)).booked(queries.basis(AsOf(), CostMethod.FIFO)).rows()
    desk.log.close()


def _harm(harm: str, path: Path, folder: Path) -> None:
    content = path.read_bytes()
    if harm == "delete":
        path.unlink()
    elif harm == "garbage":
        path.write_bytes(b"nothing of the kind" * 100)
    elif harm == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "another log's":
        other = RandomDesk(folder / "other.db", seed=4)
        asyncio.run(other.work(60))
        advance(other.log, every=5)
        path.write_bytes(cache_path(other.log).read_bytes())
        other.log.close()
    else:
        cache = sqlite3.connect(path)
        for table in ("known", "as_of"):
            cache.execute(f"UPDATE {table} SET state = (SELECT state FROM {table} ORDER BY rowid LIMIT 1)")
        cache.commit()
        cache.close()


async def test_a_log_of_more_streams_than_are_remembered_numbers_every_stream_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insert, "MOST_STREAMS", 7)
    desk = RandomDesk(tmp_path / "day.db", seed=5)

    orders = [desk.oms.submit_order("S", "buy", "market", 1, order_id=f"m-{n}") for n in range(40)]
    await asyncio.gather(*orders)
    await asyncio.gather(*(desk.oms.add_fill(f"m-{n}", 1, 100, f"f-{n}") for n in range(40)))

    versions: dict[str, list[int]] = {}
    for recorded in desk.log.read():
        versions.setdefault(recorded.originator_id, []).append(recorded.originator_version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    assert len(versions) == 41
    desk.log.close()
