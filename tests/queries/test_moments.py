"""Moments as people write them: each form has one meaning, and an ambiguous text is refused with its choices."""

import asyncio
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from oms_es import Settings
from oms_es.domain.policy import Policy
from oms_es.errors import InvalidInput
from oms_es.log.memory import MemoryLog
from oms_es.queries.moments import Moments, NoSuchMoment, When, span_of_time, written
from oms_es.queries.queries import AsOf, Queries
from oms_es.timestamps import instant, local_iso
from tests.builders import table
from tests.desk import Clock, desk, ruled

NOW = instant("2024-03-15T20:00:00Z")
CALENDARS = {
    "UTC": {},
    "Europe/Berlin": {"timezone": "Europe/Berlin"},
    "America/New_York": {"timezone": "America/New_York", "roll": "17:00", "label": "end"},
}
DAYS = {
    "empty": (),
    "one day": ("2024-03-15",),
    "closed": ("2024-03-15",),
    "two days": ("2024-03-14", "2024-03-15"),
}


@cache
def log_of(kind: str, calendar: str) -> MemoryLog:
    """Return a log with an order from 10:00Z to 10:30Z on each day."""
    log = MemoryLog()
    asyncio.run(_trade(log, DAYS[kind], ruled(day=CALENDARS[calendar]), close=kind == "closed"))
    return log


async def _trade(log: MemoryLog, days: tuple[str, ...], settings: Settings, *, close: bool) -> None:
    clock = Clock(tick=0)
    oms = desk(log, clock, settings)
    for day in days:
        clock.now = instant(f"{day}T10:00:00Z")
        await oms.submit_order("ADA", "buy", "market", 20, order_id=f"o-{day}")
        clock.now = instant(f"{day}T10:30:00Z")
        await oms.cancel_order(f"o-{day}")
    if close:
        await oms.close_day("2024-03-15")


def meaning(moments: Moments, text: str, clock: str) -> str:
    moment = written(text, "--as-of", begins=clock == "begin")
    found = moments.find(When(known_at=moment) if clock == "known" else When(as_of=moment))
    at = found.known_at if clock == "known" else found.as_of
    return f"seq {found.at_seq}" if at is None else local_iso(at, ZoneInfo("UTC"))


@pytest.mark.parametrize("case", table("moments"))
def test_a_moment_has_one_meaning_or_is_refused_with_the_choices(case: dict[str, str]) -> None:
    log = log_of(case["log"], case["calendar"])

    try:
        found = meaning(Moments(Queries(log), Policy(), NOW, case["tz"] or None), case["text"], case["clock"])
    except (InvalidInput, NoSuchMoment) as error:
        found = f"refused: {error}"

    assert found == case["is"] or (found[:9] == "refused: " and case["is"].removeprefix("refused: ") in found)


def test_an_order_id_of_several_accounts_is_refused_with_its_accounts() -> None:
    log = MemoryLog()

    async def trade() -> None:
        for account in ("alpha", "beta"):
            await desk(log).submit_order("ADA", "buy", "market", 20, order_id="o", account=account)

    asyncio.run(trade())
    moments = Moments(Queries(log), Policy(), NOW)

    with pytest.raises(InvalidInput, match="write order:alpha/o or order:beta/o"):
        moments.known(written("order:o", "--known-at"))
    assert moments.known(written("order:alpha/o", "--known-at")) == AsOf(at_seq=3)


@pytest.mark.parametrize(
    ("text", "span"), [("250ms", 250_000_000), ("30s", 30 * 10**9), ("5m", 300 * 10**9), ("1d", 86_400 * 10**9)]
)
def test_a_span_of_time_is_a_number_and_a_unit(text: str, span: int) -> None:
    assert span_of_time(text, "every") == span


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "-5m", "5 m", "1.5h", "1w", "5M"])
def test_another_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a span of time like 30s, 5m"):
        span_of_time(text, "every")
