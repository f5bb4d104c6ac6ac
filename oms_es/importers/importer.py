"""
The one door for history: everything is read and checked first, then decided in order and appended.

Importing again adds nothing: a fact is known by its content. Facts that break a rule are never lost: fills go into
quarantine, anything else is listed with its line and reason.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from msgspec import Struct

from oms_es.domain.events import FillAdded, FillQuarantined, OrderSubmitted
from oms_es.engine.command_result import CommandResult
from oms_es.engine.sequencer import Sequencer
from oms_es.errors import CommandConflict, OmsError
from oms_es.importers.facts import Fact

CHUNK = 1000  # facts in one transaction
Progress = Callable[[int, int], None]  # facts done, facts in all


class Problem(Struct, frozen=True):
    """A fact that was not carried out as it stands."""

    line: int
    seq: int
    kind: str
    why: str
    quarantine_id: str | None = None  # where a fill waits; None: it was refused and changed nothing


class Imported(Struct, kw_only=True):
    """What came of an import."""

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
        """Return the outcome as it stands in JSON."""
        return {
            "facts": self.facts,
            "events": self.events,
            "orders": self.orders,
            "fills": self.fills,
            "marks": self.marks,
            "skipped": self.skipped,
            "quarantined": self.quarantined,
            "refused": self.refused,
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
            "facts_per_second": round(self.facts / self.seconds) if self.seconds else None,
            "problems": [
                {"line": p.line, "seq": p.seq, "kind": p.kind, "why": p.why, "quarantine_id": p.quarantine_id}
                for p in self.problems
            ],
        }


async def import_facts(
    sequencer: Sequencer, read: Callable[[], Iterator[Fact]], progress: Progress | None = None
) -> Imported:
    """
    Import what `read` returns; it is called twice: once to check every line, once to carry them out.

    Raises:
        ImportFailed: a line is damaged; nothing was written.
        LogError: the log could not be written; what was written before stays, and importing again goes on there.
    """
    total = sum(1 for _ in read())
    outcome, begun = Imported(problems=[]), time.perf_counter()
    facts = read()
    while chunk := list(islice(facts, CHUNK)):
        answers = await sequencer.perform_all([fact.request for fact in chunk])
        for fact, answer in zip(chunk, answers, strict=True):
            _count(outcome, fact, answer)
        if progress is not None:
            progress(outcome.facts, total)
    outcome.seconds = time.perf_counter() - begun
    return outcome


def _count(outcome: Imported, fact: Fact, answer: CommandResult | OmsError) -> None:
    outcome.facts += 1
    if isinstance(answer, OmsError):
        outcome.refused += 1
        hint = "; a feed whose ids repeat takes --id-prefix" if isinstance(answer, CommandConflict) else ""
        outcome.problems.append(Problem(fact.line, fact.seq, fact.kind, f"{answer}{hint}"))
        return
    if answer.repeated:
        outcome.skipped += 1
        return
    outcome.events += len(answer.events)
    outcome.first_seq = outcome.first_seq or answer.first_seq
    outcome.last_seq = answer.first_seq + len(answer.events) - 1
    outcome.marks += fact.kind == "mark"
    for event in answer.events:
        outcome.orders += isinstance(event, OrderSubmitted)
        outcome.fills += isinstance(event, FillAdded)
        if isinstance(event, FillQuarantined):
            outcome.quarantined += 1
            outcome.problems.append(Problem(fact.line, fact.seq, fact.kind, event.why.value, event.quarantine_id))
