"""
The leaves of rows as they are stored, and a reader's check of the hash chain.

`hash_chain.leaf` defines the leaf; this is the same for the raw columns of many rows, in less than half of the time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from oms_es.errors import DamagedLog
from oms_es.log.hash_chain import prefixed

Columns = tuple[Any, ...]  # of a row, in the order of `decoding.SELECT`
_NULL = prefixed(None)
_SMALL = tuple(prefixed(number) for number in range(1000))
_LONG = 10**18  # a time with 19 digits is at least this, and less than 10**19
_TIMES = b"\x00\x00\x00\x13%d" * 3


class RowHashes:
    """
    Leaves of stored rows.

    Args:
        secret: the secret of the log.
        names: returns the names by their keys, including every name of the row whose leaf is computed.
    """

    def __init__(self, secret: bytes, names: Callable[[], Mapping[int, str]]) -> None:
        self._secret, self._read_names = secret, names
        self.names: dict[int, str] = {}  # those that were used
        self._prefixed: dict[int, bytes] = {}

    def leaf(self, columns: Columns) -> bytes:
        """
        Return the leaf of a row.

        Raises:
            KeyError, TypeError, ValueError: a key is unknown, or a column has a wrong type.
        """
        seq, prefix, name, version, topic, state, account, origin, occurred, effective, recorded, day, command = (
            columns[:13]
        )
        if not type(seq) is type(version) is type(occurred) is type(effective) is type(recorded) is int:
            raise TypeError("a column that is a whole number has another type")
        if type(state) is not bytes or type(name) is not str:
            raise TypeError("the body is not bytes, or the name of the stream is not text")
        known = self._prefixed
        if day not in known or topic not in known or origin not in known or account not in known or prefix not in known:
            self._learn((prefix, topic, account, origin, day))
        stream = (self.names[prefix] + name).encode()
        if occurred >= _LONG and effective >= _LONG and recorded >= _LONG:  # below 2**63, which has 19 digits too
            times = _TIMES % (occurred, effective, recorded)
        else:
            times = prefixed(occurred) + prefixed(effective) + prefixed(recorded)
        if command is None:
            command_text = _NULL
        elif type(command) is bytes:
            command_text = prefixed(f"fact:{command.hex()}")
        elif type(command) is str:
            command_text = prefixed(command)
        else:
            raise TypeError("the command id is neither text nor bytes")
        number = b"%d" % seq
        return sha256(
            b"\0\0\0\0%c%b%b%b%b%b%b%b%b%b%b%b"
            % (
                len(number),
                number,
                len(stream).to_bytes(4, "big"),
                stream,
                _SMALL[version] if 0 <= version < 1000 else prefixed(version),
                known[topic],
                known[account],
                known[origin],
                times,
                known[day],
                command_text,
                sha256(sha256(self._secret + number).digest()[:16] + state).digest(),
            )
        ).digest()

    def _learn(self, keys: Iterable[int]) -> None:
        names = self._read_names()
        for key in keys:
            name = names[key]
            if type(name) is not str:
                raise TypeError(f"the name with key {key} is not text")
            self.names[key], self._prefixed[key] = name, prefixed(name)


def check_chain(
    rows: Iterable[Columns], hashes: RowHashes, chain: bytes, where: str
) -> Iterator[tuple[Columns, bytes]]:
    """
    Yield each row with its leaf, after checking that it continues the hash chain.

    Args:
        rows: in order of seq, without gaps.
        hashes: computes the leaves.
        chain: the chain value before the first row.
        where: the log, for messages.

    Raises:
        DamagedLog: a row does not continue the chain; names its seq.
    """
    for columns in rows:
        try:
            leaf = hashes.leaf(columns)
        except (KeyError, TypeError, ValueError):
            raise DamagedLog(f"{where}: seq {columns[0]}: a column is invalid") from None
        chain = sha256(chain + leaf).digest()
        if chain != columns[13]:
            raise DamagedLog(
                f"{where}: seq {columns[0]} does not continue the hash chain: the file was changed after it was "
                "written (oms verify names the damage)"
            )
        yield columns, leaf
