"""The moment a question is about, and words for what an answer rests on."""

from oms_es.cli.context import OpenLog, print_quarantine_hint
from oms_es.cli.render import brief, print_message
from oms_es.errors import InvalidInput
from oms_es.projections.positions import Positions
from oms_es.queries.queries import AsOf, Basis
from oms_es.timestamps import instant, iso


def when(as_of: str | None, known_at: str | None, at_seq: int | None) -> AsOf:
    """Return the moment that the options name."""
    if at_seq is not None and known_at is not None:
        raise InvalidInput("--at-seq and --known-at name the same thing in two ways; give one of them")
    if at_seq is not None and at_seq < 0:
        raise InvalidInput(f"--at-seq: {at_seq} is negative; the first event has seq 1")
    return AsOf(
        as_of=None if as_of is None else instant(as_of, "--as-of"),
        known_at=None if known_at is None else instant(known_at, "--known-at"),
        at_seq=at_seq,
    )


def latest(opened: OpenLog, basis: Basis, held: Positions) -> int:
    """Return what ages are counted to: the moment asked about, else the latest that the answer knows of (ns UTC)."""
    if basis.as_of is not None or basis.known_at is not None:
        return end_of(opened, basis)
    return max([end_of(opened, basis), *(mark.at for mark in held.marks.values())])


def end_of(opened: OpenLog, basis: Basis) -> int:
    """Return the moment asked about, else that of the last event looked at (ns UTC)."""
    for moment in (basis.as_of, basis.known_at):
        if moment is not None:
            return moment
    return _moment_of(opened, basis.seq)


def _moment_of(opened: OpenLog, seq: int) -> int:
    return max((each.effective_at for each in opened.log.read(after=max(seq, 1) - 1, until=seq)), default=0)


def print_basis(opened: OpenLog, basis: Basis, what: str, *, method: bool = False, waiting: bool = True) -> None:
    """Say what the answer rests on, and point to the quarantine when something waits there."""
    how = f", {basis.method.value.upper()}" if method else ""
    print_message(f"{what} {_as_text(basis)}{how}")
    if basis.past_end:
        end = f"seq {basis.log_seq}, {_iso(_moment_of(opened, basis.log_seq))}" if basis.log_seq else "it is empty"
        print_message(f"that moment lies past the end of the log ({end}); this is how things stand there")
    if waiting:
        print_quarantine_hint(len(opened.queries.waiting(basis)))


def _as_text(basis: Basis) -> str:
    """Return a moment in words, and up to which event the log was read for it."""
    whole = basis.seq == basis.log_seq
    known = f"up to seq {basis.seq}" if whole else f"up to seq {basis.seq} of {basis.log_seq}"
    if basis.known_at is not None:
        known = f"with what was known at {_iso(basis.known_at)}, {known}"
    if basis.as_of is None:
        return f"now, {known}" if whole and basis.known_at is None else known
    everything = "with all we know, " if whole and basis.known_at is None else ""
    return f"as of {_iso(basis.as_of)}, {everything}{known}"


def _iso(moment: int) -> str:
    return brief(iso(moment))
