"""The digests of closed days, computed again from the events: the one part of a verification that folds the log."""

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import DayClosed, Event
from oms_es.identifiers import escaped
from oms_es.log.insert import Keys
from oms_es.log.row_hashes import Columns
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.policies import first_method
from oms_es.projections.state import State
from oms_es.proof.damage import Damage, Kind
from oms_es.vocabulary import CostMethod, Origin

PREFIX = "day/"  # of the streams with the closings


class Closings:
    """Folds the events, and compares the digests of each `DayClosed` with those of the state before it."""

    def __init__(self, log: SqliteLog, names: dict[int, str]) -> None:
        self._state = State(first_method(log, CostMethod.FIFO))
        self._names = names

    def visit(self, row: Columns, stream: str, _: str, event: Event) -> None:
        """
        Fold an event.

        Raises:
            Damage: a closed day has other digests than those that its closing recorded.
        """
        if isinstance(event, DayClosed):
            found = self._state.closing_digests()
            differing = sorted(name for name, digest in event.digests.items() if found.get(name) != digest)
            if differing:
                what = f"the digests of the closed day {event.trading_day} differ: {', '.join(differing)}"
                raise Damage(Kind.ALTERED, row[0], escaped(what), stream)
        names, command = self._names, row[12]
        recorded = Recorded(
            row[0], stream, row[3], event, names[row[6]], Origin(names[row[7]]), row[8], row[9], row[10],
            names[row[11]], Keys.command_text(command) if command else command,
        )  # fmt: skip
        self._state.apply(recorded)
        self._state.commit()
