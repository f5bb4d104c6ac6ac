"""How long an answer at a random moment takes, by either clock, as the log grows."""

import random
import tempfile
import time
from pathlib import Path

from benchmarks.days import make_log, percentiles
from oms_es.domain.events import FillAdded, MarkRecorded
from oms_es.log.sqlite import SqliteLog
from oms_es.queries.queries import AsOf, Queries
from oms_es.vocabulary import CostMethod

SIZES = (10_000, 100_000, 1_000_000)
ASKED = 200
# Positions as of a random moment, known at one, and as of the last change, where the most lots are open; then P&L.
KINDS = ("as-of", "known-at", "end", "pnl as-of", "pnl known-at")
_CHANGES = {FillAdded.__name__, MarkRecorded.__name__}


def main() -> None:
    """Print p50 and p99 for each size, asked in turn so that a noisy moment hits all of them."""
    with tempfile.TemporaryDirectory() as folder:
        logs = {size: make_log(Path(folder) / f"{size}.db", size) for size in SIZES}
        spans = {(kind, size): _span(log, kind) for kind in KINDS for size, log in logs.items()}
        times: dict[tuple[str, int], list[float]] = {(k, s): [] for k in KINDS for s in SIZES}
        dice = random.Random(2)
        for _ in range(ASKED):
            for size, log in logs.items():
                for kind in KINDS:
                    times[kind, size].append(_ask(log, kind, dice.randrange(*spans[kind, size]), dice))
        for log in logs.values():
            log.close()
    for kind in KINDS:
        medians = {}
        for size in SIZES:
            medians[size], slow = percentiles(times[kind, size])
            print(f"{kind:12} {size:>9,} events: p50 {medians[size]:6.2f} ms, p99 {slow:6.2f} ms")
        print(f"{kind:12} p50 grows by {medians[SIZES[2]] / medians[SIZES[1]]:.2f} from {SIZES[1]:,} to {SIZES[2]:,}")


def _span(log: SqliteLog, kind: str) -> tuple[int, int]:
    """Return from when to when anything changed, by the clock that is asked; the last ns is left out."""
    if not kind.endswith("known-at"):
        moments = [each.effective_at for each in log.read(topics=_CHANGES)]
    else:
        moments = [each.recorded_at for each in log.pick([1, log.head().seq])]
    return (max(moments) if kind == "end" else min(moments)), max(moments) + 1


def _ask(log: SqliteLog, kind: str, moment: int, dice: random.Random) -> float:
    when = AsOf(known_at=moment) if kind.endswith("known-at") else AsOf(as_of=moment)
    method = dice.choice(list(CostMethod))
    begun = time.perf_counter()
    queries = Queries(log)
    basis = queries.basis(when, method)
    if kind.startswith("pnl"):
        queries.days(basis)
    else:
        queries.positions(basis).rows()
    return time.perf_counter() - begun
