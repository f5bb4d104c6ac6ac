"""The description of an event, beside its name in histories."""

from oms_es.domain.events import EVENTS
from oms_es.queries.describe_event import _WORDS


def test_every_event_has_a_description() -> None:
    assert set(_WORDS) == set(EVENTS)
