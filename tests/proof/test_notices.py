"""A changed row or cache is noticed when the log is opened for writing, replayed or queried."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oms_es.errors import DamagedLog
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from oms_es.projections.snapshots.integrity import Cache
from oms_es.projections.snapshots.positions_at import belongs_to_log, cache_path
from oms_es.projections.snapshots.positions_codec import digest
from oms_es.projections.snapshots.state_store import load_state, save_state, states_path
from oms_es.projections.state import State
from oms_es.queries.queries import AsOf, Queries
from oms_es.vocabulary import CostMethod
from tests.cli.test_cli import Oms
from tests.desk import BUY, desk, ruled, trade
from tests.tampering import LAST, short_day, tampered

PRICE = "UPDATE events SET state = CAST(replace(state, '\"10\"', '\"90\"') AS BLOB) WHERE seq = 5"  # of a fill


def write(path: Path, **settings: Any) -> None:
    async def trading() -> None:
        async with desk(path, settings=ruled(**settings) if settings else None) as oms:
            await trade(oms, "o-9", BUY, 10, 10)

    asyncio.run(trading())


@pytest.fixture
def day(tmp_path: Path) -> Path:
    return short_day(tmp_path / "day.db")


def test_no_command_is_accepted_on_a_log_whose_end_was_changed(day: Path) -> None:
    write(day)
    tampered(day, PRICE)

    with pytest.raises(DamagedLog, match="seq 5 does not continue the hash chain"):
        write(day)


def test_the_last_rows_are_verified_although_a_stored_state_covers_them(
    day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_es.engine.write_model.LEAST", 1)
    write(day)
    assert states_path(SqliteLog(day)).exists()
    tampered(day, PRICE)

    write(day, log={"verified_rows": "2"})  # the changed row is far before them, and before the state
    with pytest.raises(DamagedLog, match="seq 5 does not continue the hash chain"):
        write(day)


def test_a_replay_verifies_the_chain_unless_told_not_to(day: Path) -> None:
    oms = Oms(day)
    before = oms.json("replay")["digest"]
    tampered(day, PRICE)

    assert "seq 5 does not continue the hash chain" in oms("replay", code=1).stderr
    assert "seq 5" in oms("replay --check", code=1).stderr
    assert oms.json("replay --no-verify")["digest"] != before


# --- caches ---


def test_a_stored_state_with_a_digest_of_somebody_else_is_refused(day: Path) -> None:
    log = SqliteLog.existing(day)
    state = State().replay(log.read())
    save_state(log, "live", state)
    assert load_state(log, "live", LAST + 1) is not None

    with closing(sqlite3.connect(states_path(log))) as states:
        (content,) = states.execute("SELECT state FROM states").fetchone()
        other = SqliteLog(day.with_name("other.db"))  # a log without a secret
        from oms_es.projections.snapshots.state_store import _digest, _made_by

        row = ("live", LAST, _made_by(), str(log.chain_at(LAST)))
        states.execute("UPDATE states SET digest = ?", (_digest(other, *row, content),))
        states.commit()

    assert load_state(log, "live", LAST + 1) is None


def held(log: SqliteLog, *, cached: bool = True) -> str:
    queries = Queries(log, cached=cached)
    return str(queries.positions(queries.basis(AsOf())).rows())


def forge_cache(log: SqliteLog, forge: Any) -> None:
    with closing(sqlite3.connect(cache_path(log), factory=Cache)) as cache:
        forge(cache)
        cache.commit()


def forged_state(cache: Cache) -> None:
    """Change every state, and compute its digest without the secret."""
    for table, place in (("known", "0, seq"), ("as_of", "effective_at, seq")):
        for row, method, first, second, state in cache.execute(
            f"SELECT rowid, method, {place}, state FROM {table}"
        ).fetchall():
            changed = state.replace(b"\xa260", b"\xa290")
            mac = digest(cache, CostMethod(method), (first, second), changed)
            cache.execute(f"UPDATE {table} SET state = ?, digest = ? WHERE rowid = ?", (changed, mac, row))


@pytest.mark.parametrize("forge", [
    forged_state,
    lambda cache: cache.execute("UPDATE meta SET value = value - 3 WHERE key = 'ingested'"),
    lambda cache: cache.execute("DELETE FROM meta WHERE key = 'seal'"),
    lambda cache: cache.execute("UPDATE facts SET restated = 1"),
], ids=["state", "place", "seal", "facts"])  # fmt: skip
def test_a_forged_cache_changes_no_answer_and_is_built_again(day: Path, forge: Any) -> None:
    log = SqliteLog.existing(day)
    advance(log, every=1)
    before = held(log)
    content = cache_path(log).read_bytes()
    forge_cache(log, forge)
    assert cache_path(log).read_bytes() != content

    assert held(log) == held(log, cached=False) == before
    write(day)
    advance(log, every=1)
    assert held(log) == held(log, cached=False)


def test_a_cache_of_a_history_that_was_written_anew_is_not_used(day: Path) -> None:
    from tests.proof.forging import forge

    log = SqliteLog.existing(day)
    advance(log, every=1)
    forged = forge(day, day.with_name("forged.db"), "alter", 3, recompute=True)
    cache_path(log).rename(cache_path(SqliteLog(forged.path)))

    with closing(sqlite3.connect(cache_path(SqliteLog(forged.path)), factory=Cache)) as cache:
        again = SqliteLog.existing(forged.path)
        assert not belongs_to_log(cache.of(again), again)


def test_every_query_can_be_answered_without_caches(day: Path) -> None:
    oms = Oms(day)
    for words in ("positions", "orders", "order o-1", "fills", "pnl", "daily", "history ADAUSDM", "limits",
                  "quarantine", "diff seq:3 now", "why position ADAUSDM", "why order o-1", "replay",
                  "bisect 'quarantined() == 0'", "export"):  # fmt: skip
        assert oms(f"{words} --no-cache").stdout == oms(words).stdout, words
