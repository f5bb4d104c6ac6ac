"""The basis of an answer in words: which moment, and up to which event of the log."""

from oms_es.cli.context import OpenLog, print_quarantine_hint
from oms_es.cli.render import print_message
from oms_es.queries.queries import Basis
from oms_es.timestamps import brief, iso


def print_basis(opened: OpenLog, basis: Basis, what: str, *, method: bool = False, quarantine: bool = True) -> None:
    """Print the basis of an answer, and how many fills are in quarantine."""
    method_name = f", {basis.method.value.upper()}" if method else ""
    print_message(f"{what} {basis.words()}{method_name}")
    if basis.past_end:
        end = (
            f"seq {basis.log_seq}, {_iso(opened.queries.effective_at(basis.log_seq))}"
            if basis.log_seq
            else "it is empty"
        )
        print_message(f"that moment is past the end of the log ({end}); this is the state at its end")
    if quarantine:
        print_quarantine_hint(len(opened.queries.waiting(basis)))


def _iso(moment: int) -> str:
    return brief(iso(moment))
