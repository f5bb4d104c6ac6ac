"""Figures of the torture tests, printed at the end of the run, whatever the number of workers."""

from collections.abc import Callable

import pytest


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that adds a line to the figures."""
    return lambda line: record_property("figure", line)
