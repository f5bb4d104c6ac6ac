"""A log reduced to the orders with some tags: every query of it is about these orders and their fills alone."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import OrdersMerged, OrderSubmitted, QuarantineEvent
from oms_es.domain.order import is_order_event
from oms_es.log.contract import Log

_NAMING = frozenset({OrderSubmitted.__name__, OrdersMerged.__name__})


class TaggedLog:
    """
    A log without the events of other orders; marks, instruments and policies remain.

    Args:
        log: the whole log.
        tags: names with the values that an order must have.
    """

    def __init__(self, log: Log, tags: Mapping[str, str]) -> None:
        self._log = log
        self._streams = _streams_with(log, tags)

    def read(
        self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None
    ) -> Iterator[Recorded]:
        """Return the events with `after` < seq <= `until`, in order, filtered by `topics`."""
        return (each for each in self._log.read(after, until, topics) if self._is_of(each))

    def stream(self, originator_id: str) -> list[Recorded]:
        """Return the events of one stream, in order."""
        return [each for each in self._log.stream(originator_id) if self._is_of(each)]

    def _is_of(self, recorded: Recorded) -> bool:
        event = recorded.event
        if isinstance(event, QuarantineEvent) and not event.order_known:
            return False
        return not is_order_event(event) or recorded.originator_id in self._streams

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def _streams_with(log: Log, tags: Mapping[str, str]) -> set[str]:
    """Return the streams of the orders with these tags, and of the external orders that were merged into them."""
    found, merged = set[str](), list[tuple[str, str]]()
    for each in log.read(topics=_NAMING):
        event = each.event
        if isinstance(event, OrderSubmitted) and tags.items() <= event.tags.items():
            found.add(each.originator_id)
        elif isinstance(event, OrdersMerged) and event.merged is not None:
            merged.append((each.originator_id, f"order/{event.account}/{event.merged}"))
    found.update(other for ours, other in merged if ours in found)
    return found


def values_of(log: Log, name: str) -> list[str]:
    """Return the values of a tag, sorted."""
    events = (each.event for each in log.read(topics=_NAMING))
    return sorted({event.tags[name] for event in events if isinstance(event, OrderSubmitted) and name in event.tags})
