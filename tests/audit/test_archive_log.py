"""Queries on a day archive give the answers of its log, at every event of the day."""

from pathlib import Path
from typing import Any

import pytest

from oms_es.audit.archive_log import ArchiveLog, ArchiveQueries
from oms_es.audit.day_archive import pack
from oms_es.errors import InvalidInput, LogReadOnly
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.policies import first_method
from oms_es.queries.explain import history, why_positions, why_row
from oms_es.queries.queries import AsOf, Queries, order_rows
from oms_es.vocabulary import CostMethod
from tests.golden_days import BOXES, restore


def opened(day: str, trading_day: str, tmp_path: Path) -> tuple[SqliteLog, ArchiveLog]:
    log = restore(day, tmp_path / "day.db")
    path = tmp_path / "day.omsday"
    pack(log, trading_day, path, first_method(log, CostMethod.FIFO), "test")
    return log, ArchiveLog(path)


def answers(queries: Queries, when: AsOf) -> dict[str, Any]:
    basis = queries.basis(when)
    return {
        "positions": queries.positions(basis).rows(),
        "days": queries.days(basis),
        "orders": order_rows(queries.orders(basis)),
        "fills": list(queries.fills(basis)),
        "fills of ALFA": list(queries.fills(basis, "ALFA")),
        "waiting": queries.waiting(basis),
        "policies": queries.policies(basis.seq).rows()[:1],
    }


@pytest.mark.parametrize(("day", "trading_day"), BOXES)
def test_an_archive_answers_as_its_log_at_every_event_of_the_day(day: str, trading_day: str, tmp_path: Path) -> None:
    log, archive = opened(day, trading_day, tmp_path)
    first, last = archive.manifest.first_seq, archive.manifest.last_seq
    whole, boxed = Queries(log, cached=False), ArchiveQueries(archive)

    for seq in range(first, last + 1, max(1, (last - first) // 12)):
        assert answers(boxed, AsOf(at_seq=seq)) == answers(whole, AsOf(at_seq=seq)), seq
        (recorded,) = log.read(seq - 1, seq)
        known = AsOf(known_at=recorded.recorded_at)
        if whole.basis(known).seq <= last:
            assert answers(boxed, known) == answers(whole, known), seq
    log.close()


@pytest.mark.parametrize(("day", "trading_day"), BOXES[:2])
def test_a_first_day_as_of_any_time_in_it_is_as_in_the_log(day: str, trading_day: str, tmp_path: Path) -> None:
    log, archive = opened(day, trading_day, tmp_path)
    whole, boxed = Queries(log, cached=False), ArchiveQueries(archive)
    last = archive.manifest.last_seq

    for at in sorted({each.effective_at for each in archive.read()})[::5]:
        when, on_log = AsOf(as_of=at), AsOf(as_of=at, at_seq=last)
        assert answers(boxed, when) == answers(whole, on_log)
        bases = boxed.basis(when), whole.basis(on_log)
        assert list(map(why_row, why_positions(boxed, bases[0], "ALFA", None))) == list(
            map(why_row, why_positions(whole, bases[1], "ALFA", None))
        )
        assert list(history(boxed, bases[0], "ALFA", None)) == list(history(whole, bases[1], "ALFA", None))
    log.close()


def test_a_time_before_an_archive_another_method_and_writing_are_refused(tmp_path: Path) -> None:
    log, archive = opened("three_days", "2024-03-07", tmp_path)
    queries, first = ArchiveQueries(archive), archive.manifest.first_seq

    for when in (AsOf(at_seq=first - 2), AsOf(as_of=1), AsOf(known_at=1)):
        with pytest.raises(InvalidInput, match=f"the archive begins with seq {first}"):
            queries.basis(when)
    with pytest.raises(InvalidInput, match="lifo needs the log"):
        queries.positions(queries.basis(AsOf(), CostMethod.LIFO))
    with pytest.raises(LogReadOnly):
        archive.append([], 0)
    log.close()
