"""
An index of the fills, busts and corrections of each symbol, so that one symbol is read without the others.

Each account and symbol has a count of its fills, each fill a count of its busts and corrections: none can be missing.
"""

from collections.abc import Iterable, Iterator, Mapping

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected
from oms_es.projections.snapshots.integrity import Cache, check

TABLES = """
CREATE TABLE fills(symbol TEXT, account TEXT, seq INTEGER, restated INTEGER, checksum INTEGER,
                   PRIMARY KEY (symbol, account, seq)) WITHOUT ROWID;
CREATE TABLE books(symbol TEXT, account TEXT, fills INTEGER, checksum INTEGER,
                   PRIMARY KEY (symbol, account)) WITHOUT ROWID;
CREATE TABLE restatements(fill INTEGER, seq INTEGER, checksum INTEGER, PRIMARY KEY (fill, seq)) WITHOUT ROWID;
"""
FILL_TOPICS = frozenset({FillAdded.__name__, FillBusted.__name__, FillCorrected.__name__})


def fill_events_of(symbol: str, events: Iterable[Recorded]) -> Iterator[Recorded]:
    """Return the fills, busts and corrections of a symbol among some events."""
    kinds = FillAdded | FillBusted | FillCorrected
    return (each for each in events if isinstance(each.event, kinds) and each.event.symbol == symbol)


def add_fill(cache: Cache, fill: FillAdded, seq: int) -> None:
    """Add a fill to the index."""
    query = "SELECT fills FROM books WHERE (symbol, account) = (?, ?)"
    (count,) = cache.execute(query, (fill.symbol, fill.account)).fetchone() or (0,)
    row, book = (fill.symbol, fill.account, seq, 0), (fill.symbol, fill.account, count + 1)
    cache.execute("INSERT INTO fills VALUES (?, ?, ?, ?, ?)", (*row, cache.checksum(*row)))
    cache.execute("INSERT OR REPLACE INTO books VALUES (?, ?, ?, ?)", (*book, cache.checksum(*book)))


def add_restatement(cache: Cache, fill: Recorded, seq: int) -> None:
    """Add a bust or a correction of a fill; the connection has the SQL function `checksum`."""
    assert isinstance(fill.event, FillAdded), "only fills are restated"
    cache.execute("INSERT INTO restatements VALUES (?, ?, ?)", (fill.seq, seq, cache.checksum(fill.seq, seq)))
    cache.execute(
        "UPDATE fills SET restated = restated + 1, checksum = checksum(symbol, account, seq, restated + 1) "
        "WHERE (symbol, account, seq) = (?, ?, ?)",
        (fill.event.symbol, fill.event.account, fill.seq),
    )


def fill_seqs(cache: Cache, symbol: str, until: int, account: str | None = None) -> list[int]:
    """Return the seqs of the fills, busts and corrections of a symbol up to `until`, in one account or in all."""
    found, restated, counted = list[int](), dict[int, int](), dict[str, int]()
    query = "SELECT account, seq, restated, checksum FROM fills WHERE symbol = ? AND account = coalesce(?, account)"
    for *values, stored in cache.execute(f"{query} ORDER BY account, seq", (symbol, account)):
        check(stored == cache.checksum(symbol, *values))
        own, seq, count = values
        counted[own] = counted.get(own, 0) + 1
        if seq <= until:
            found.append(seq)
        if seq <= until and count:
            restated[seq] = count
    books = "SELECT account, fills, checksum FROM books WHERE symbol = ? AND account = coalesce(?, account)"
    for own, fills, stored in cache.execute(books, (symbol, account)):
        check(stored == cache.checksum(symbol, own, fills) and counted.pop(own, 0) == fills)
    check(not counted)
    restatements = restatements_of(cache, restated).values()
    return sorted(found + [seq for seqs in restatements for seq in seqs if seq <= until])


def restatements_of(cache: Cache, counts: Mapping[int, int]) -> dict[int, list[int]]:
    """Return the seqs of the busts and corrections of fills, as many of each fill as were counted."""
    found: dict[int, list[int]] = {fill: [] for fill in counts}
    fills = list(counts)
    for start in range(0, len(fills), 500):
        some = fills[start : start + 500]
        holders = ",".join("?" * len(some))
        query = f"SELECT fill, seq, checksum FROM restatements WHERE fill IN ({holders}) ORDER BY seq"  # noqa: S608
        for fill, seq, stored in cache.execute(query, some):
            check(stored == cache.checksum(fill, seq))
            found[fill].append(seq)
    check(all(len(seqs) == counts[fill] for fill, seqs in found.items()))
    return found
