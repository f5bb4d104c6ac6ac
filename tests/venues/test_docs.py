"""docs/venues.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_row_of_the_table_of_troubles_is_a_test() -> None:
    page = (ROOT / "docs/venues.md").read_text(encoding="utf-8")
    tests = (ROOT / "tests/venues/test_gateway.py").read_text(encoding="utf-8")

    named = re.findall(r"`(test_\w+)` \|$", page, re.MULTILINE)

    assert len(named) == page.partition("| trouble |")[2].count("\n|") - 1
    assert [name for name in named if f"def {name}(" not in tests] == []
