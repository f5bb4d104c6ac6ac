"""The basis of an answer in words: which moment, and up to which event of the log."""

from oms_es.cli.context import OpenLog, print_quarantine_hint
from oms_es.cli.render import print_message
from oms_es.queries.queries import Basis
from oms_es.timestamps import local_iso


def print_basis(opened: OpenLog, basis: Basis, what: str, *, method: bool = False, quarantine: bool = True) -> None:
    """Print the basis of an answer, and how many fills are in quarantine."""
    method_name, zone = f", {basis.method.value.upper()}" if method else "", opened.moments.zone
    zone_name = "" if zone.key == "UTC" else f", times in {zone.key}"
    print_message(f"{what} {basis.words(zone)}{method_name}{zone_name}")
    if basis.past_end:
        last = local_iso(opened.queries.effective_at(basis.log_seq), zone)
        end = f"seq {basis.log_seq}, {last}" if basis.log_seq else "it is empty"
        print_message(f"that moment is past the end of the log ({end}); this is the state at its end")
    if quarantine:
        print_quarantine_hint(len(opened.queries.waiting(basis)))
