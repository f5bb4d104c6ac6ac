"""Forgeries of a log: what somebody does who may write the file, without and with recomputing the chain."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from oms_es.log.hash_chain import StoredRow, genesis, sealed
from oms_es.log.insert import Keys
from tests.tampering import TRIGGERS

Row = list[Any]  # the columns of `events`, in the order of the table
SEQ, STREAM, VERSION, TOPIC, STATE, ACCOUNT, ORIGIN, OCCURRED, EFFECTIVE, RECORDED, DAY, COMMAND, CHAIN = range(13)


class Forgery(NamedTuple):
    """One forged file, and what was done to it."""

    path: Path
    what: str
    first: int  # the first seq whose content is another than before


def alter(rows: list[Row], dice: random.Random) -> str:
    """Change a column of one row."""
    row = dice.choice(rows)
    column = dice.choice([STATE, STATE, STATE, ACCOUNT, ORIGIN, OCCURRED, RECORDED, DAY, TOPIC, COMMAND])
    if column == STATE:
        digits = [at for at, byte in enumerate(row[STATE]) if 48 <= byte <= 57]
        if digits:
            at = dice.choice(digits)
            digit = (row[STATE][at] - 48 + dice.randrange(1, 10)) % 10
            row[STATE] = row[STATE][:at] + b"%d" % digit + row[STATE][at + 1 :]
        else:
            row[STATE] = row[STATE] + b" "
    elif column in {OCCURRED, RECORDED}:
        row[EFFECTIVE] = row[OCCURRED] if row[EFFECTIVE] is None else row[EFFECTIVE]
        row[column] += dice.choice([-1, 1]) * dice.randrange(1, 10**9)
    elif column == COMMAND:
        row[COMMAND] = f"forged-{dice.random()}"
    else:
        others = sorted({each[column] for each in rows} - {row[column]})
        row[column] = dice.choice(others) if others else row[column] + 1
    return f"column {column} of seq {row[SEQ]}"


def swap(rows: list[Row], dice: random.Random) -> str:
    """Exchange two rows, with or without their chain values."""
    one, other = dice.sample(rows, 2)
    end = dice.choice([CHAIN, CHAIN + 1])
    one[1:end], other[1:end] = other[1:end], one[1:end]
    return f"seq {one[SEQ]} and {other[SEQ]}"


def delete(rows: list[Row], dice: random.Random) -> str:
    """Delete rows in the middle; half of the time the rows after them are renumbered."""
    at, count = dice.randrange(len(rows) - 4), dice.randrange(1, 4)
    del rows[at : at + count]
    if dice.random() < 0.5:
        _number(rows)
    return f"{count} rows after {at}"


def insert(rows: list[Row], dice: random.Random) -> str:
    """Insert a changed copy of a row, and renumber the rows after it; a row at the end would be a new event."""
    at, source = dice.randrange(len(rows)), dice.choice(rows)
    fresh = list(source)
    fresh[VERSION] = max(each[VERSION] for each in rows if each[STREAM] == source[STREAM]) + 1
    fresh[COMMAND] = None
    fresh[CHAIN] = dice.choice([dice.randbytes(32), source[CHAIN]])
    rows.insert(at, fresh)
    _number(rows)
    return f"a copy of a row of stream {source[STREAM]} as seq {at + 1}"


def truncate(rows: list[Row], dice: random.Random) -> str:
    """Delete the last rows."""
    count = dice.randrange(1, len(rows) // 2)
    del rows[-count:]
    return f"the last {count} rows"


def renumber(rows: list[Row], dice: random.Random) -> str:
    """Give the rows from somewhere on other numbers, or put one row at another place."""
    at = dice.randrange(1, len(rows) - 1)
    if dice.random() < 0.5:
        by = dice.randrange(1, 5)
        for row in rows[at:]:
            row[SEQ] += by
        return f"rows from {at + 1} on by {by}"
    row = rows.pop(at)
    to = dice.choice([place for place in range(len(rows) + 1) if place != at])
    rows.insert(to, row)
    _number(rows)
    return f"seq {at + 1} put to {to + 1}"


ATTACKS: dict[str, Callable[[list[Row], random.Random], str]] = {
    each.__name__: each for each in (alter, swap, delete, insert, truncate, renumber)
}


def _contents(rows: list[Row]) -> list[Row]:
    """Return what is hashed of each row; an effective time that is the same as the time it occurred may be NULL."""
    return [[*row[:EFFECTIVE], row[OCCURRED] if row[EFFECTIVE] is None else row[EFFECTIVE], *row[9:12]] for row in rows]


def _number(rows: list[Row]) -> None:
    for seq, row in enumerate(rows, 1):
        row[SEQ] = seq


def forge(source: Path, path: Path, attack: str, seed: int, *, recompute: bool) -> Forgery:
    """Copy a log and forge the copy."""
    shutil.copy(source, path)
    dice = random.Random(f"{attack}-{seed}")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA journal_mode=MEMORY")
        before = [list(row) for row in db.execute("SELECT * FROM events ORDER BY seq")]
        contents, rows, what = [_contents(before)] * 2, before, ""
        while contents[0] == contents[1]:  # an attack whose traces all disappear with the new chain is none
            rows = [list(row) for row in before]
            what = ATTACKS[attack](rows, dice)
            if recompute:
                recompute_chain(db, rows)
            contents = [_contents(before), _contents(rows)]
        first = next(
            (n for n, (a, b) in enumerate(zip(*contents, strict=False), 1) if a != b), min(map(len, contents)) + 1
        )
        triggers = db.execute(TRIGGERS).fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.execute("BEGIN")
        db.execute("DELETE FROM events")
        db.executemany(f"INSERT INTO events VALUES ({','.join('?' * 13)})", rows)
        db.execute("COMMIT")
        for _, sql in triggers:
            db.execute(sql)
    return Forgery(path, f"{attack} (seed {seed}): {what}", first)


def recompute_chain(db: sqlite3.Connection, rows: list[Row]) -> None:
    """Make seqs, versions, clocks and chain fit, as an attacker can who reads the secret in the file."""
    meta = dict(db.execute("SELECT key, value FROM meta"))
    names = dict(db.execute("SELECT id, name FROM names"))
    streams = {key: names[prefix] + name for key, prefix, name in db.execute("SELECT id, prefix, name FROM streams")}
    _number(rows)
    versions: dict[int, int] = {}
    chain, latest = genesis(meta["log_id"]), 0
    for row in rows:
        row[RECORDED] = latest = max(latest, row[RECORDED])
        row[VERSION] = versions[row[STREAM]] = versions.get(row[STREAM], 0) + 1
        command = Keys.command_text(row[COMMAND]) if row[COMMAND] else row[COMMAND]
        stored = StoredRow(
            row[SEQ], streams[row[STREAM]], row[VERSION], names[row[TOPIC]], row[STATE], names.get(row[ACCOUNT], ""),
            names.get(row[ORIGIN], ""), row[OCCURRED], row[OCCURRED] if row[EFFECTIVE] is None else row[EFFECTIVE],
            row[RECORDED], names.get(row[DAY], ""), command, b"",
        )  # fmt: skip
        row[CHAIN] = chain = sealed(stored, chain, meta["secret"]).chain
