"""Positions and P&L over time are, at each point, those of a query as of that time."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from oms_es import InvalidInput, OrderManagementSystem, Settings
from oms_es.timestamps import calendar, instant, iso
from tests.golden_days import restore

HOUR = 3_600 * 10**9


def restored(day: str, tmp_path: Path) -> OrderManagementSystem:
    log = restore(day, tmp_path / "day.db")
    return OrderManagementSystem(Settings.default(), log=log)


def at_each_point(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    points: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        points.setdefault(row["at"], []).append({name: value for name, value in row.items() if name != "at"})
    return points


@pytest.mark.parametrize("method", ["fifo", "average"])
@pytest.mark.parametrize(("day", "every"), [("awkward_day", "13m"), ("three_days", "7h")])
def test_a_point_of_a_series_has_the_rows_of_a_query_as_of_its_time(
    day: str, every: str, method: str, tmp_path: Path
) -> None:
    oms = restored(day, tmp_path)
    days, policy = oms.pnl(), oms.sequencer.state.policies.policy("*")
    counted = calendar(policy.timezone, policy.roll, policy.label)

    positions = at_each_point(oms.position_series(every, method=method))
    pnl = at_each_point(oms.pnl_series(every, method=method))

    assert len(positions) > 5
    assert days
    for at, rows in positions.items():
        assert rows == oms.positions(as_of=at, method=method).to_dicts(), at
    for at, rows in pnl.items():
        today = counted.day_of(instant(at))
        assert rows == oms.pnl(as_of=at, method=method, day=today).to_dicts(), at


def test_the_last_point_of_a_series_is_the_end_of_the_log(tmp_path: Path) -> None:
    oms = restored("three_days", tmp_path)
    last = max(each.effective_at for each in oms.log.read())

    points = list(at_each_point(oms.position_series("1h")))

    assert points[-1] == iso(last) or instant(points[-1]) <= last
    assert {(instant(two) - instant(one)) for one, two in pairwise(points[:-1])} == {HOUR}
    assert oms.position_series("1h").to_dicts()[-1]["quantity"] == oms.positions().to_dicts()[-1]["quantity"]


def test_a_series_begins_and_ends_where_it_is_asked_to(tmp_path: Path) -> None:
    oms = restored("three_days", tmp_path)
    start, end = "2024-03-06T10:07:00Z", "2024-03-06T12:10:00Z"

    points = list(at_each_point(oms.position_series("1h", start=start, end=end)))

    assert points == [iso(instant(each)) for each in (start, "2024-03-06T11:07:00Z", "2024-03-06T12:07:00Z", end)]
    assert oms.position_series("1h", start=start, as_of="2024-03-06T10:30:00Z")[-1]["at"].startswith("2024-03-06T10:30")


def test_a_series_is_filtered_and_limited(tmp_path: Path) -> None:
    oms = restored("three_days", tmp_path)
    every = oms.position_series("1h")

    assert {row["symbol"] for row in oms.position_series("1h", symbol=["FUT"])} == {"FUT"}
    assert list(oms.position_series("1h", limit=3)) == every[:3]
    assert list(oms.position_series("1h", limit=-3)) == every[-3:]


def test_a_series_of_too_many_points_is_refused(tmp_path: Path) -> None:
    oms = restored("three_days", tmp_path)

    with pytest.raises(InvalidInput, match="at most 100,000"):
        oms.position_series("1ms")


def test_a_series_of_an_empty_log_has_no_rows(tmp_path: Path) -> None:
    oms = OrderManagementSystem(Settings.default(), log=tmp_path / "none.db")

    assert oms.position_series("1h").to_dicts() == oms.pnl_series("1h").to_dicts() == []
