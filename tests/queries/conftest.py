"""A desk for each test about a question to the log."""

from collections.abc import Iterator

import pytest

from tests.queries.played_desk import PlayedDesk, desk


@pytest.fixture
def day() -> Iterator[PlayedDesk]:
    """Return a desk over a file of its own."""
    with desk() as made:
        yield made
