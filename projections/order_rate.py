"""How many orders were submitted and amended within the last second, per account."""

from typing import Any

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import AmendRefused, OrderAmended, OrderSubmitted
from oms_es.projections.projection import Projection, on
from oms_es.projections.staging import StagedDict
from oms_es.timestamps import SECOND
from oms_es.vocabulary import Origin


class Rates(Projection):
    """When the last second's submits and amends were recorded, by account; refused ones count."""

    def __init__(self) -> None:
        self.recent: StagedDict[str, tuple[int, ...]] = StagedDict()

    @on(OrderSubmitted, OrderAmended, AmendRefused)
    def _came(self, event: OrderSubmitted | OrderAmended | AmendRefused, at: Recorded) -> None:
        if at.origin is not Origin.COMMAND:
            return
        recent = self.recent.get(event.account) or ()
        begin = next((i for i, moment in enumerate(recent) if moment > at.recorded_at - SECOND), len(recent))
        self.recent[event.account] = (*recent[begin:], at.recorded_at)

    def count(self, account: str, now: int) -> int:
        """Return how many came within the second before `now`."""
        return sum(moment > now - SECOND for moment in self.recent.get(account) or ())

    def rows(self) -> list[dict[str, Any]]:
        """Return nothing: a rate is of the moment and no part of what a day came to."""
        return []
