"""Tests of the log file work on the disk, whatever the others use."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder on the disk."""
    disk = "/var/tmp" if Path("/var/tmp").is_dir() else None
    with tempfile.TemporaryDirectory(dir=disk, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
