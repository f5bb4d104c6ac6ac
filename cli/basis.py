"""The basis of an answer in words: which moment, and up to which event of the log."""

from oms_es.cli.context import OpenLog, print_quarantine_hint
from oms_es.cli.render import print_message
from oms_es.projections.positions import Positions
from oms_es.queries.queries import Basis
from oms_es.timestamps import brief, iso


def latest(opened: OpenLog, basis: Basis, positions: Positions) -> int:
    """Return the moment that ages are counted to: the one of the query, else that of the last event or mark (ns)."""
    if basis.as_of is not None or basis.known_at is not None:
        return end_of(opened, basis)
    return max([end_of(opened, basis), *(mark.at for mark in positions.marks.values())])


def end_of(opened: OpenLog, basis: Basis) -> int:
    """Return the moment of the query, else the effective time of the last event read (ns UTC)."""
    for moment in (basis.as_of, basis.known_at):
        if moment is not None:
            return moment
    return _effective_at(opened, basis.seq)


def _effective_at(opened: OpenLog, seq: int) -> int:
    return max((each.effective_at for each in opened.log.read(after=max(seq, 1) - 1, until=seq)), default=0)


def print_basis(opened: OpenLog, basis: Basis, what: str, *, method: bool = False, quarantine: bool = True) -> None:
    """Print the basis of an answer, and how many fills are in quarantine."""
    method_name = f", {basis.method.value.upper()}" if method else ""
    print_message(f"{what} {basis.words()}{method_name}")
    if basis.past_end:
        end = f"seq {basis.log_seq}, {_iso(_effective_at(opened, basis.log_seq))}" if basis.log_seq else "it is empty"
        print_message(f"that moment is past the end of the log ({end}); this is the state at its end")
    if quarantine:
        print_quarantine_hint(len(opened.queries.waiting(basis)))


def _iso(moment: int) -> str:
    return brief(iso(moment))
