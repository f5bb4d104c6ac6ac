"""Timestamps in integer nanoseconds since 1970-01-01T00:00:00Z, ISO text, and trading days."""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from oms_es.errors import InvalidInput
from oms_es.identifiers import shown

SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX: Final = 2**63 - 1
_PLAUSIBLE: Final = (631_152_000 * SECOND, 7_258_118_400 * SECOND)  # 1990 to 2200
_UNITS: Final = (("seconds", SECOND), ("milliseconds", 1_000_000), ("microseconds", 1000), ("nanoseconds", 1))
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)


def instant(value: object, name: str = "instant") -> int:
    """
    Return a timestamp in nanoseconds UTC, from an int, an aware datetime, or ISO text with a zone.

    Raises:
        InvalidInput: the zone is missing, or the text is not a timestamp.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | datetime):
        raise InvalidInput(f"{name}: {shown(value)} is not a timestamp; use ISO text like 2012-06-21T13:45:00Z")
    if isinstance(value, int):
        return nanoseconds(value, name)
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise InvalidInput(f"{name}: {value.isoformat()} has no zone; add one, as in 2012-06-21T13:45:00Z")
        return _in_range(_nanoseconds(value), name, value)
    return _from_text(value, name)


def nanoseconds(value: int, name: str = "instant") -> int:
    """
    Return a plausible timestamp in nanoseconds UTC.

    Raises:
        InvalidInput: it is before 1990 or after 2200, as a count of another unit is; names the unit that fits.
    """
    if _PLAUSIBLE[0] <= value < _PLAUSIBLE[1]:
        return value
    hint = "use nanoseconds since 1970, UTC"
    for unit, factor in _UNITS[:-1]:
        if _PLAUSIBLE[0] <= value * factor < _PLAUSIBLE[1]:
            hint = f"as {unit} it is {iso(value * factor)}: multiply it by {factor}"
    raise InvalidInput(f"{name}: {shown(value)} is not a plausible timestamp in nanoseconds (1990 to 2200); {hint}")


def _unit_hint(value: int) -> str:
    """Return the unit in which a number is a plausible timestamp, and its ISO text; "" for none."""
    for unit, factor in _UNITS:
        if _PLAUSIBLE[0] <= value * factor < _PLAUSIBLE[1]:
            return f"; as {unit} since 1970 it would be {iso(value * factor)}"
    return ""


def _from_text(value: str, name: str) -> int:
    found = _ISO.fullmatch(value) if len(value) <= 40 else None
    if found is None:
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else 0
        hint = _unit_hint(number)
        raise InvalidInput(f"{name}: {shown(value)} is not a timestamp; use ISO text like 2012-06-21T13:45:00Z{hint}")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if zone is None:
        raise InvalidInput(f"{name}: {shown(value)} has no zone; add one, as in {value}Z")
    try:
        whole = _whole_second(year, month, day, hour, minute, second or "0", zone)
    except ValueError as error:
        raise InvalidInput(f"{name}: {shown(value)} is not a timestamp: {error}") from None
    return _in_range(whole + int((fraction or "0").ljust(9, "0")), name, value)


@lru_cache(maxsize=4096)  # the facts of an import share their seconds
def _whole_second(year: str, month: str, day: str, hour: str, minute: str, second: str, zone: str) -> int:
    moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    return _nanoseconds(moment) - _span(timedelta(0) if zone in "Zz" else _offset(zone))


def _offset(zone: str) -> timedelta:
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"no such offset {zone}")
    return timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)


def _nanoseconds(moment: datetime) -> int:
    return _span(moment - _EPOCH)


def _span(span: timedelta) -> int:
    return (span.days * 86400 + span.seconds) * SECOND + span.microseconds * 1000


def _in_range(value: int, name: str, source: object) -> int:
    if not 0 <= value <= _MAX:
        raise InvalidInput(f"{name}: {shown(source)} is out of range (1970 to 2262)")
    return value


def iso(moment: int) -> str:
    """Return the timestamp as ISO text, UTC, with nanoseconds."""
    seconds, nanoseconds = divmod(moment, SECOND)
    return f"{_second_text(seconds)}.{nanoseconds:09d}Z"


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def local_iso(moment: int, zone: ZoneInfo) -> str:
    """Return the timestamp as ISO text in a zone, with its UTC offset and without the zeros at its end; UTC has Z."""
    if zone.key == "UTC":
        return brief(iso(moment))
    seconds, nanoseconds = divmod(moment, SECOND)
    local = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).isoformat()
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{local[:19]}{fraction}{local[19:]}"


def local_instants(local: datetime, zone: ZoneInfo) -> list[int]:
    """Return the instants of a local time (ns UTC): none inside a DST gap, two where the clocks were set back."""
    both = {_nanoseconds(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1)}
    return sorted(each for each in both if _local(each, zone) == local)


def _local(moment: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(seconds=moment // SECOND)).astimezone(zone).replace(tzinfo=None, fold=0)


def local_date(moment: int, zone: ZoneInfo) -> date:
    """Return the calendar date of a timestamp in a zone."""
    return _local(moment, zone).date()


def brief(moment: str) -> str:
    """Return ISO text without the zeros at its end."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def clock_time(value: str, name: str = "roll") -> time:
    """Return a time of day from text like '00:00' or '17:30'."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", value, re.ASCII)
    if found is None:
        raise InvalidInput(f"{name}: {shown(value)} is not a time of day like '17:00'")
    return time(int(found[1]), int(found[2]))


@lru_cache(maxsize=4096)
def roll_instant(day: date, zone: ZoneInfo, roll: time) -> int:
    """Return when `day` starts: its roll in `zone`; inside a DST gap, the first instant after the gap."""
    local = datetime.combine(day, roll)
    moment = local.replace(tzinfo=zone)  # fold=0: the earlier of two, at the end of DST
    if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        # This local time does not exist. fold=0 uses the UTC offset before the gap, fold=1 the one after it.
        before, after = _nanoseconds(moment), _nanoseconds(moment.replace(fold=1))
        return _gap_end(min(before, after), max(before, after), zone)
    return _nanoseconds(moment)


def _gap_end(low: int, high: int, zone: ZoneInfo) -> int:
    low, high = low // SECOND, -(-high // SECOND)
    offset = _utc_offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _utc_offset(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high * SECOND


def _utc_offset(second: int, zone: ZoneInfo) -> timedelta | None:
    return (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()


class Calendar:
    """
    Trading days of one desk.

    Args:
        timezone: the IANA name of the desk's time zone.
        roll: the local time at which the next trading day starts, like "17:00".
        label: "start" names a trading day after the date it starts on, "end" after the date it ends on.
    """

    def __init__(self, timezone: str, roll: str, label: str) -> None:
        self._zone, self._roll, self._ends = ZoneInfo(timezone), clock_time(roll), label == "end"
        self._last = (0, 0, "")  # a cache: begin, end and name of the last result

    def day_of(self, moment: int) -> str:
        """Return the trading day of a timestamp (ns UTC), as ISO date text."""
        begin, end, name = self._last  # one tuple, so that threads never see half of a change
        if begin <= moment < end:
            return name
        day = (_EPOCH + timedelta(seconds=moment // SECOND)).astimezone(self._zone).date()
        while moment < roll_instant(day, self._zone, self._roll):
            day -= timedelta(days=1)
        while moment >= roll_instant(day + timedelta(days=1), self._zone, self._roll):
            day += timedelta(days=1)
        following = day + timedelta(days=1)
        name = (following if self._ends else day).isoformat()
        self._last = (*self._between(day, following), name)
        return name

    def span_of(self, trading_day: str) -> tuple[int, int]:
        """Return when a trading day (ISO date text) and the day after it start, ns UTC."""
        day = date.fromisoformat(trading_day) - timedelta(days=self._ends)
        return self._between(day, day + timedelta(days=1))

    def _between(self, day: date, following: date) -> tuple[int, int]:
        return roll_instant(day, self._zone, self._roll), roll_instant(following, self._zone, self._roll)


@lru_cache(maxsize=64)
def calendar(timezone: str, roll: str, label: str) -> Calendar:
    """Return the calendar of these settings, cached."""
    return Calendar(timezone, roll, label)


def trading_day(moment: int, timezone: str = "UTC", roll: str = "00:00", label: str = "start") -> str:
    """Return the trading day of a timestamp (ns UTC), as ISO date text; arguments as in `Calendar`."""
    return calendar(timezone, roll, label).day_of(moment)
