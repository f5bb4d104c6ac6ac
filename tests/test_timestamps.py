"""Moments need a zone and go to the nanosecond; trading days follow the wall clock (design, sections 4 and 10)."""

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.errors import InvalidInput
from oms_es.timestamps import SECOND, Calendar, clock_time, instant, iso, roll_instant, trading_day
from tests.builders import table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = 2**63 - 1
moments = st.integers(0, LATEST)


# --- moments ---


@pytest.mark.parametrize("row", table("instants"))
def test_iso_text_with_a_zone_is_read_to_the_nanosecond(row: dict[str, str]) -> None:
    assert instant(row["text"]) == int(row["nanoseconds"])


@given(moments)
def test_a_moment_that_was_written_is_read_back_as_the_same_moment(moment: int) -> None:
    assert instant(iso(moment)) == moment


@given(moments, moments)
def test_the_text_of_moments_sorts_as_the_moments_do(a: int, b: int) -> None:
    assert (iso(a) < iso(b)) == (a < b)
    assert len(iso(a)) == len("2012-06-21T13:45:00.000000000Z")


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2261, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"]),
    st.integers(0, 1),
)
def test_an_aware_datetime_is_the_moment_it_names(local: datetime, zone: str, fold: int) -> None:
    aware = local.replace(tzinfo=ZoneInfo(zone), fold=fold)
    microseconds = (aware.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)

    assert instant(aware) == microseconds * 1000


def test_an_aware_datetime_may_have_a_fixed_offset() -> None:
    assert instant(datetime(1970, 1, 1, 2, 0, 0, 7, timezone(timedelta(hours=2)))) == 7000


def test_nanoseconds_are_taken_as_they_are() -> None:
    assert instant(1_340_286_300_123_456_789) == 1_340_286_300_123_456_789


class Nowhere(tzinfo):
    """A zone that does not know its offset, so that a datetime in it is naive."""

    def utcoffset(self, _moment: datetime | None) -> None:
        return None

    def dst(self, _moment: datetime | None) -> None:
        return None

    def tzname(self, _moment: datetime | None) -> str:
        return "nowhere"


WITHOUT_A_ZONE: list[Any] = [
    "2012-06-21T13:45:00",
    "2012-06-21 13:45:00.5",
    "2012-06-21T13:45",
    datetime(2012, 6, 21, 13, 45),  # noqa: DTZ001
]


@pytest.mark.parametrize("value", WITHOUT_A_ZONE)
def test_instant_refuses_a_time_without_a_zone(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"as_of: .* zone"):
        instant(value, "as_of")


NO_MOMENTS: list[tuple[str, Any]] = [
    ("nothing", None),
    ("a bool", True),
    ("a float", 1340286300.0),
    ("a date", date(2012, 6, 21)),
    ("the text of a date", "2012-06-21"),
    ("the text of a time", "13:45:00Z"),
    ("no text", ""),
    ("a word", "now"),
    ("seconds as text", "1340286300"),
    ("a space before", " 2012-06-21T13:45:00Z"),
    ("a line feed behind", "2012-06-21T13:45:00Z\n"),
    ("a month 13", "2012-13-21T13:45:00Z"),
    ("a 30th of February", "2012-02-30T13:45:00Z"),
    ("a 29th of February out of turn", "2011-02-29T13:45:00Z"),
    ("an hour 24", "2012-06-21T24:00:00Z"),
    ("a minute 60", "2012-06-21T13:60:00Z"),
    ("ten decimals", "2012-06-21T13:45:00.1234567891Z"),
    ("a decimal point alone", "2012-06-21T13:45:00.Z"),
    ("the name of a zone", "2012-06-21T13:45:00 Europe/Paris"),
    ("an offset of a day", "2012-06-21T13:45:00+24:00"),
    ("an offset of 60 minutes", "2012-06-21T13:45:00+00:60"),
    ("full-width digits", "２０12-06-21T13:45:00Z"),
    ("two digits of a year", "12-06-21T13:45:00Z"),
    ("a moment before 1970", "1969-12-31T23:59:59.999999999Z"),
    ("a moment before 1970, by its offset", "1970-01-01T00:00:00+00:01"),
    ("a nanosecond too late", "2262-04-11T23:47:16.854775808Z"),
    ("the year 9999", "9999-12-31T23:59:59Z"),
    ("the year 0", "0000-01-01T00:00:00Z"),
    ("a negative number", -1),
    ("a number too large", 2**63),
    ("a number of 5,000 digits", 10**5000),
    ("a datetime before 1970", datetime(1969, 1, 1, tzinfo=UTC)),
    ("a datetime too late", datetime(9999, 1, 1, tzinfo=UTC)),
    ("a datetime whose zone knows no offset", datetime(2012, 6, 21, tzinfo=Nowhere())),
]


@pytest.mark.parametrize("value", [pytest.param(value, id=what) for what, value in NO_MOMENTS])
def test_instant_refuses_a_value_that_is_no_time_and_names_the_argument(value: Any) -> None:
    with pytest.raises(InvalidInput, match="as_of"):
        instant(value, "as_of")


# --- trading days ---


def test_a_roll_is_a_time_of_day_in_hours_and_minutes() -> None:
    for text, at in (("00:00", time(0, 0)), ("17:00", time(17, 0)), ("23:59", time(23, 59))):
        assert clock_time(text) == at
    for text in ("", "24:00", "7:00", "12:60", "1200", "12:00:00", "12.00", " 12:00", "12:00\n", "１2:00"):
        with pytest.raises(InvalidInput, match=r"day\.roll"):
            clock_time(text, "day.roll")


@pytest.mark.parametrize("row", table("trading_days"))
def test_a_moment_belongs_to_the_day_whose_roll_came_last(row: dict[str, str]) -> None:
    assert trading_day(instant(row["moment"]), row["timezone"], row["roll"], row["label"]) == row["day"]


@pytest.mark.parametrize(("zone", "roll", "day", "hours"), [
    ("America/New_York", "00:00", date(2024, 3, 10), 23), ("America/New_York", "17:00", date(2024, 3, 9), 23),
    ("America/New_York", "00:00", date(2024, 11, 3), 25), ("America/New_York", "17:00", date(2024, 11, 2), 25),
    ("America/New_York", "00:00", date(2024, 11, 4), 24), ("Europe/London", "00:00", date(2024, 3, 31), 23),
    ("Europe/London", "00:00", date(2024, 10, 27), 25), ("Australia/Lord_Howe", "00:00", date(2024, 10, 6), 23.5),
    ("Australia/Lord_Howe", "00:00", date(2024, 4, 7), 24.5), ("Pacific/Apia", "00:00", date(2011, 12, 30), 0),
    ("UTC", "00:00", date(2024, 3, 10), 24),
])  # fmt: skip
def test_a_day_is_as_long_as_the_wall_clock_makes_it(zone: str, roll: str, day: date, hours: float) -> None:
    begin = roll_instant(day, ZoneInfo(zone), clock_time(roll))
    end = roll_instant(day + timedelta(days=1), ZoneInfo(zone), clock_time(roll))

    assert end - begin == hours * 3600 * SECOND
    if hours:
        assert trading_day(begin, zone, roll) == trading_day(end - 1, zone, roll) == day.isoformat()
        assert trading_day(begin - 1, zone, roll) < day.isoformat() < trading_day(end, zone, roll)


@lru_cache(maxsize=4096)
def begin_by_brute_force(day: date, zone: str, roll: str) -> int:
    """Return the first minute at which the wall clock shows `roll` on `day` or more, found by looking at each."""
    rolled, clock = datetime.combine(day, clock_time(roll)), ZoneInfo(zone)
    moment = rolled.replace(tzinfo=UTC) - timedelta(hours=16)  # no clock is further ahead of UTC
    while moment.astimezone(clock).replace(tzinfo=None) < rolled:
        moment += timedelta(minutes=1)
    return (moment - EPOCH) // timedelta(seconds=1) * SECOND


def day_by_brute_force(moment: int, zone: str, roll: str, label: str = "start") -> str:
    """Return the last of the days around `moment` that have begun."""
    around = (EPOCH + timedelta(seconds=moment // SECOND)).date()
    days = [around + timedelta(days=number) for number in range(-2, 3)]
    day = days[bisect_right([begin_by_brute_force(each, zone, roll) for each in days], moment) - 1]
    return (day + timedelta(days=1) if label == "end" else day).isoformat()


# Where wall clocks do something odd: gaps and repetitions of an hour, of half an hour, at midnight, across midnight,
# and days that were skipped or came twice.
ODD = [
    ("America/New_York", date(2024, 3, 10)), ("America/New_York", date(2024, 11, 3)),
    ("Europe/London", date(2024, 10, 27)), ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2018, 2, 18)), ("America/Havana", date(2024, 11, 3)),
    ("America/Goose_Bay", date(2010, 11, 7)), ("America/Goose_Bay", date(2011, 3, 13)),
    ("Australia/Lord_Howe", date(2024, 4, 7)), ("Australia/Lord_Howe", date(2024, 10, 6)),
    ("Asia/Beirut", date(2024, 3, 31)), ("Asia/Pyongyang", date(2018, 5, 5)), ("Asia/Pyongyang", date(2015, 8, 15)),
    ("Africa/Casablanca", date(2024, 3, 10)), ("Antarctica/Casey", date(2023, 3, 9)),
    ("Pacific/Apia", date(2011, 12, 30)), ("Pacific/Kwajalein", date(1993, 8, 21)),
    ("Asia/Manila", date(2024, 3, 10)),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "day"), ODD, ids=[f"{zone} {day}" for zone, day in ODD])
@pytest.mark.parametrize("roll", ["00:00", "00:30", "02:30", "17:00", "23:45"])
def test_trading_days_are_those_found_by_looking_at_every_minute(zone: str, day: date, roll: str) -> None:
    noon = (datetime.combine(day, time(12), tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
    rolls = [begin_by_brute_force(day + timedelta(days=n), zone, roll) for n in range(-1, 2)]
    asked = [(noon + minutes * 60) * SECOND for minutes in range(-2160, 2160, 17)]
    asked += [moment + off for moment in rolls for off in (-1, 0, 1)]

    differing = [
        (iso(moment), trading_day(moment, zone, roll), day_by_brute_force(moment, zone, roll))
        for moment in asked
        if moment >= 0 and trading_day(moment, zone, roll) != day_by_brute_force(moment, zone, roll)
    ]

    assert not differing


zones = st.sampled_from(sorted({zone for zone, _ in ODD}))
rolls = st.times().map(lambda at: f"{at:%H:%M}")
since_1990 = st.integers(631152000, 2145916800).map(lambda seconds: seconds * SECOND)


@given(zones, rolls, st.sampled_from(["start", "end"]), since_1990)
def test_any_moment_in_any_zone_has_the_day_found_by_looking_at_every_minute(
    zone: str, roll: str, label: str, moment: int
) -> None:
    assert trading_day(moment, zone, roll, label) == day_by_brute_force(moment, zone, roll, label)


@given(zones, rolls, st.lists(since_1990, min_size=2))
def test_days_never_go_backwards(zone: str, roll: str, asked: list[int]) -> None:
    days = [trading_day(moment, zone, roll) for moment in sorted(asked)]

    assert days == sorted(days)


@given(zones, rolls, st.sampled_from(["start", "end"]), since_1990, st.lists(st.integers(-90_000, 90_000), min_size=2))
def test_a_calendar_gives_the_same_trading_day_whatever_was_asked_before(
    zone: str, roll: str, label: str, first: int, steps: list[int]
) -> None:
    asked = [first + seconds * SECOND for seconds in steps]
    used = Calendar(zone, roll, label)

    assert [used.day_of(moment) for moment in asked] == [Calendar(zone, roll, label).day_of(moment) for moment in asked]
