"""The description of an event, beside its name in histories."""

from oms_es.cli.describe_event import _WORDS
from oms_es.domain.events import EVENTS


def test_every_event_has_a_description() -> None:
    assert set(_WORDS) == set(EVENTS)
