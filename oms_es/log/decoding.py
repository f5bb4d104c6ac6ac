"""Decode the columns of a table row to a `StoredRow` or an event."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oms_es.domain.envelope import Recorded
from oms_es.errors import DamagedLog
from oms_es.log.codec import CODEC
from oms_es.log.contract import to_recorded
from oms_es.log.hash_chain import Head, StoredRow
from oms_es.log.insert import Keys
from oms_es.log.row_hashes import Columns
from oms_es.vocabulary import Origin

SELECT = """
SELECT e.seq, s.prefix, s.name, e.originator_version, e.topic, e.state, e.account, e.origin, e.occurred_at,
       coalesce(e.effective_at, e.occurred_at), e.recorded_at, e.trading_day, e.command_id, e.chain
FROM events e LEFT JOIN streams s ON s.id = e.originator_id
"""


def read_head(connection: sqlite3.Connection) -> Head | None:
    """Return the head of the log; None when the log is empty."""
    found = connection.execute("SELECT seq, chain, recorded_at FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    if found is None:
        return None
    seq, chain, recorded_at = found
    if seq < 1 or type(chain) is not bytes or len(chain) != 32 or type(recorded_at) is not int:
        raise DamagedLog(f"the last row of the log is invalid (seq {seq}): it was cut off or changed")
    return Head(seq, chain, recorded_at)


def decode_row(path: Path, columns: Sequence[Any], names: dict[int, str]) -> StoredRow:
    """
    Return the decoded row.

    Raises:
        DamagedLog: the row is invalid; names its seq.
    """
    try:
        row = _with_names(columns, names)
    except KeyError as error:
        raise DamagedLog(f"{path}: seq {columns[0]}: no name has key {error}") from None
    if not _is_valid(row):
        raise DamagedLog(f"{path}: seq {columns[0]}: a column is invalid")
    return row


def _with_names(columns: Sequence[Any], names: dict[int, str]) -> StoredRow:
    seq, prefix, name, version, topic, state, account, origin, occurred, effective, recorded, day, command, chain = (
        columns
    )
    return StoredRow(
        seq,
        f"{names[prefix]}{name}" if type(name) is str else name,
        version,
        names[topic],
        state,
        names[account],
        names[origin],
        occurred,
        effective,
        recorded,
        names[day],
        Keys.command_text(command) if type(command) is bytes else command,
        chain,
    )


def decode_event(path: Path, columns: Columns, names: dict[int, str]) -> Recorded:
    """
    Return the recorded event of a row; `decode_row` handles the few rows that are not of the usual form.

    This is the hot path of every replay, so it looks less pretty than the rest.

    Raises:
        DamagedLog: the row is invalid; names its seq.
    """
    seq, prefix, name, version, topic, state, account, origin, occurred, effective, recorded, day, command, chain = (
        columns
    )
    try:
        stream = names[prefix] + name
        event = CODEC.decode_quickly(stream, names[topic], state)
        if (
            event is not None
            and type(version) is type(occurred) is type(effective) is type(recorded) is int
            and type(chain) is bytes
            and len(chain) == _CHAIN
            and (command is None or type(command) is str or type(command) is bytes)
        ):
            if type(command) is bytes:
                command = Keys.command_text(command)
            account, day, source = names[account], names[day], _ORIGINS[names[origin]]
            if type(account) is type(day) is str:
                return Recorded(
                    seq, stream, version, event, account, source, occurred, effective, recorded, day, command
                )
    except (AttributeError, KeyError, TypeError):  # an unknown key, or a column of a wrong type
        pass
    return to_recorded(decode_row(path, columns, names))


_CHAIN = 32  # bytes
_ORIGINS = {origin.value: origin for origin in Origin}
_TYPES = (int, str, int, str, bytes, str, str, int, int, int, str)


def _is_valid(row: StoredRow) -> bool:
    return (
        tuple(map(type, row[:11])) == _TYPES
        and type(row.chain) is bytes
        and len(row.chain) == 32
        and (row.command_id is None or type(row.command_id) is str)
    )
