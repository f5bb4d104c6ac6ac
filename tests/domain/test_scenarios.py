"""Histories worked out by hand: fills, ids, limits and links, in the text files of `scenarios/`."""

from pathlib import Path

import pytest

from oms_es.domain.envelope import Draft
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.tables import update_tables
from tests.projections.table_content import content
from tests.projections.test_tables import agrees_with_the_api
from tests.scenarios import Line, Play, scenarios

SCENARIOS = scenarios(Path(__file__).parent / "scenarios")


@pytest.mark.parametrize("lines", SCENARIOS)
def test_a_scenario_gives_the_events_and_figures_worked_out_by_hand(lines: list[Line]) -> None:
    desk = Play()

    desk.play(lines)

    desk.certify()


@pytest.mark.parametrize("lines", [each for each in SCENARIOS if str(each.id).startswith("linking")])
def test_the_tables_of_orders_that_were_linked_are_what_the_queries_answer(lines: list[Line], path: Path) -> None:
    desk = Play()
    desk.play(lines)
    log = SqliteLog(path)
    log.append([Draft(**{name: getattr(each, name) for name in Draft.__struct_fields__}) for each in desk.desk.log], 0)

    update_tables(log, path.with_name("tables.db"))

    agrees_with_the_api(content(path.with_name("tables.db")), log)
    log.close()
