"""
Imports history: all facts are read and checked first, then decided in order and appended.

An import is idempotent: the command id of a fact is a digest of its content. A fact that breaks a rule is never lost: a
fill is quarantined, any other fact is listed with its line and the reason.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from oms_es.domain.events import FillAdded, FillQuarantined, OrderSubmitted
from oms_es.engine.command_result import CommandResult
from oms_es.engine.sequencer import Sequencer
from oms_es.errors import CommandConflict, OmsError
from oms_es.importers.facts import Fact

CHUNK = 1000  # facts in one transaction


class Problem(Struct, frozen=True):
    """A fact that was quarantined or refused."""

    line: int
    seq: int
    kind: str
    why: str
    quarantine_id: str | None = None  # of a quarantined fill; None: the fact was refused and changed nothing


class Imported(Struct, kw_only=True):
    """The result of an import."""

    facts: int = 0
    events: int = 0
    orders: int = 0
    fills: int = 0
    marks: int = 0
    skipped: int = 0  # facts that were in the log already
    quarantined: int = 0
    refused: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    seconds: float = 0.0
    problems: list[Problem] = []

    def rows(self) -> dict[str, Any]:
        """Return the result as in JSON."""
        row = asdict(self)
        seconds, problems = row.pop("seconds"), [asdict(each) for each in row.pop("problems")]
        return {**row, "facts_per_second": round(self.facts / seconds) if seconds else None, "problems": problems}


async def import_facts(
    sequencer: Sequencer, read: Callable[[], Iterator[Fact]], outcome: Imported | None = None
) -> Imported:
    """
    Import the facts of `read`, which is called twice: to check every line, and to import it.

    Args:
        sequencer: the writer of the log.
        read: returns the facts.
        outcome: what was done so far, if the import is interrupted.

    Raises:
        ImportFailed: a line is damaged; nothing was written.
        LogError: the log cannot be written; the facts before are imported, and another import continues there.
    """
    deque(read(), maxlen=0)
    outcome, begun = outcome or Imported(problems=[]), time.perf_counter()
    facts = read()
    while chunk := list(islice(facts, CHUNK)):
        results = await sequencer.perform_all([fact.request for fact in chunk])
        for fact, result in zip(chunk, results, strict=True):
            _count(outcome, fact, result)
    outcome.seconds = time.perf_counter() - begun
    return outcome


def _count(outcome: Imported, fact: Fact, result: CommandResult | OmsError) -> None:
    outcome.facts += 1
    if isinstance(result, OmsError):
        outcome.refused += 1
        hint = "; a feed whose ids repeat takes --id-prefix" if isinstance(result, CommandConflict) else ""
        outcome.problems.append(Problem(fact.line, fact.seq, fact.kind, f"{result}{hint}"))
        return
    if result.repeated:
        outcome.skipped += 1
        return
    outcome.events += len(result.events)
    outcome.first_seq = outcome.first_seq or result.first_seq
    outcome.last_seq = result.first_seq + len(result.events) - 1
    outcome.marks += fact.kind == "mark"
    for event in result.events:
        outcome.orders += isinstance(event, OrderSubmitted)
        outcome.fills += isinstance(event, FillAdded)
        if isinstance(event, FillQuarantined):
            outcome.quarantined += 1
            outcome.problems.append(Problem(fact.line, fact.seq, fact.kind, event.why.value, event.quarantine_id))
