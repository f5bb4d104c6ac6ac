"""Queries on a day archive: an auditor does not need the log."""

import pytest

from tests.cli.command_line import Oms


@pytest.mark.parametrize(
    "query",
    [
        "positions", "orders", "order b-3", "fills --symbol BOLT", "pnl", "daily", "history BOLT", "why position BOLT",
        "quarantine", "limits", "diff seq:40 now", "positions --every 20m", "positions --as-of 14:05",
        "positions --at-seq 46", "orders --state filled --limit 2", "why order a-2", "export --what fills",
    ],
)  # fmt: skip
def test_every_query_of_the_command_line_answers_on_an_archive(query: str, demo: Oms) -> None:
    demo("export --day 2024-03-15 -o day.omsday")
    if "why order" in query:
        demo("submit ACME buy limit 900 55 --order-id a-2", code=1)

    on_log = demo(f"{query} --at-seq 68" if "seq" not in query and "--as-of" not in query else query)
    on_archive = demo([*query.split(), "--log", "day.omsday"])

    assert on_archive.stdout == on_log.stdout


def test_a_command_that_writes_or_needs_the_log_refuses_an_archive(demo: Oms) -> None:
    demo("export --day 2024-03-15 -o day.omsday")

    for command in ("mark ACME 50", "tables t.db", "export --day 2024-03-15 -o again.omsday"):
        assert "is not an SQLite database" in demo([*command.split(), "--log", "day.omsday"], code=1).stderr
    assert "lifo needs the log" in demo("positions --method lifo --log day.omsday", code=2).stderr
    assert "begins with seq" not in demo("positions --at-seq 1 --log day.omsday").stderr
