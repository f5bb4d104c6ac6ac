"""
Moments as people write them, each with one meaning; a text with several meanings is refused, with the choices.

    2024-03-15T14:05:00Z    an instant with its zone, up to nanoseconds
    2024-03-15 14:05        this calendar date and time in the zone of the reader; today, yesterday for the date
    14:05                   this time on the only trading day of the log
    2024-03-15              this trading day: its last nanosecond, or its first where a span begins; today, yesterday
    2024-03-15 close        the closing of this trading day; `close` alone: of the only closed day
    -5m                     five minutes before now (ms, s, m, h, d)
    seq:46, 46              after this event
    order:ID                after the last event of this order; order:ACCOUNT/ID where several have the id

As an event time, an event is its effective time, and a closing the last nanosecond of its day. As a recording time,
both are the event itself.
"""

import re
from collections.abc import Collection, Iterable
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any, NamedTuple, Protocol, cast, overload
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from oms_es.domain.events import DayClosed
from oms_es.domain.policy import Policy
from oms_es.domain.policy import zone as checked_zone
from oms_es.errors import InvalidInput, OmsError
from oms_es.identifiers import shown
from oms_es.log.codec import CODEC
from oms_es.log.contract import Log
from oms_es.queries.filters import RowFilter
from oms_es.queries.queries import AsOf, Queries
from oms_es.timestamps import SECOND, calendar, instant, local_date, local_instants, local_iso
from oms_es.vocabulary import EVERY_ACCOUNT

EXAMPLES = "14:05, 2024-03-15, 2024-03-15 14:05, yesterday 16:00, -5m, close, seq:46, order:ID or 2024-03-15T14:05:00Z"
_UNITS = {"ms": SECOND // 1000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND}
_TIME = r"(?:\d?\d:\d\d(?::\d\d(?:\.\d{1,9})?)?|close)"
_FORM = re.compile(
    rf"(?:seq:)?(?P<seq>\d{{1,18}})|order:(?P<order>.+)|-(?P<ago>\d{{1,9}})(?P<unit>ms|s|m|h|d)|"
    rf"(?P<day>\d{{4}}-\d\d-\d\d|today|yesterday)(?:[ T](?P<time>{_TIME}))?|(?P<alone>{_TIME})",
    re.ASCII,
)
_SPAN = re.compile(r"(\d{1,9})(ms|s|m|h|d)", re.ASCII)
_MOST_CHOICES = 5


class NoSuchMoment(OmsError, LookupError):
    """The log has no such event, order or closing."""


def span_of_time(text: str, name: str) -> int:
    """Return a span like 5m, 1h or 250ms in nanoseconds; a day is 24 hours."""
    found = _SPAN.fullmatch(text)
    if found is None or not int(found[1]):
        raise InvalidInput(f"{name}: {shown(text)} is not a span of time like 30s, 5m, 1h or 1d")
    return int(found[1]) * _UNITS[found[2]]


def seq_of(text: str, name: str) -> int:
    """Return the seq that a text like seq:46 names."""
    seq = text.removeprefix("seq:")
    if not (seq.isascii() and seq.isdigit() and len(seq) <= 18):
        raise InvalidInput(f"{name}: {shown(text)} is not an event; expected seq:N like seq:120")
    return int(seq)


class Written(Struct, frozen=True):
    """The text of a moment, and the option or argument that it is for; made by `written`."""

    text: str
    name: str
    begins: bool  # whether a date alone is its first instant, and not its last

    @property
    def parts(self) -> dict[str, Any]:
        """Return the parts of the text; none for an instant with a zone."""
        found = _FORM.fullmatch(self.text)
        return {} if found is None else {key: part for key, part in found.groupdict().items() if part is not None}


@overload
def written(text: str, name: str, *, begins: bool = False) -> Written: ...


@overload
def written(text: str | None, name: str, *, begins: bool = False) -> Written | None: ...


def written(text: str | None, name: str, *, begins: bool = False) -> Written | None:
    """
    Return a moment whose form is valid, None for None; `Moments` finds its place in a log.

    Raises:
        InvalidInput: the text has none of the forms.
    """
    if text is None:
        return None
    moment = Written(text, name, begins)
    parts = moment.parts
    if text.startswith("seq:"):
        seq_of(text, name)
    try:
        if not parts:
            instant(text, name)
        for part in (parts.get("day"), parts.get("time"), parts.get("alone")):
            _check(part)
    except ValueError as error:
        why = str(error).removeprefix(f"{name}: {shown(text)} ")
        why = f"is not a moment: {why}" if parts else "is not a moment"
        raise InvalidInput(f"{name}: {shown(text)} {why}; write {EXAMPLES}") from None
    return moment


def _check(part: str | None) -> None:
    if part and ":" in part:
        _clock(part)
    elif part and part[0].isdigit():
        date.fromisoformat(part)


def _clock(text: str) -> tuple[time, int]:
    """Return a time of day in whole seconds, and its nanoseconds."""
    whole, _, fraction = text.partition(".")
    hour, minute, second = map(int, (whole + ":0").split(":")[:3])
    return time(hour, minute, second), int(fraction.ljust(9, "0")) if fraction else 0


class DatedLog(Log, Protocol):
    """A log that knows its trading days."""

    def ends_of_days(self, until: int, topics: Collection[str]) -> dict[str, int]:
        """Return the seq of the last event of these topics up to `until`, by trading day."""


class Place(NamedTuple):
    """The place of a moment in a log: an event, a time, or an event with a time of its own."""

    at: int  # ns UTC
    seq: int | None = None


class When(Struct, frozen=True, kw_only=True):
    """The moment of a query as it was written; all None: now."""

    as_of: Written | None = None
    known_at: Written | None = None
    at_seq: int | None = None


class Moments:
    """
    The moments of one log.

    Args:
        queries: the queries of the log.
        otherwise: the policy whose calendar counts where the log has none.
        now: the time that `today` and `-5m` refer to, ns UTC.
        timezone: the zone of times without one; None: that of the log's trading day.
    """

    def __init__(self, queries: Queries, otherwise: Policy, now: int, timezone: str | None = None) -> None:
        self._log, self._now = cast(DatedLog, queries.log), now
        self._policy = queries.policy(otherwise)
        self.zone = ZoneInfo(self._policy.timezone if timezone is None else checked_zone(timezone, "--tz"))
        self.calendar = calendar(self._policy.timezone, self._policy.roll, self._policy.label)

    def find(self, when: When) -> AsOf:
        """
        Return the time of a query.

        Raises:
            InvalidInput: a text has several meanings in this log, or none.
            NoSuchMoment: the log has no such event, order or closing.
        """
        as_of = None if when.as_of is None else self.event_time(when.as_of)
        if when.known_at is None:
            return AsOf(as_of=as_of, at_seq=when.at_seq)
        known = self.known(when.known_at)
        return AsOf(as_of=as_of, known_at=known.known_at, at_seq=known.at_seq)

    def between(self, only: RowFilter, start: Written | None, end: Written | None) -> RowFilter:
        """Return a filter with the bounds of a span; raise `InvalidInput` if it ends before it begins."""
        first, last = (None if each is None else self.event_time(each) for each in (start, end))
        if start is not None and end is not None and first is not None and last is not None and last < first:
            raise InvalidInput(f"{start.name}: {start.text} is later than {end.text}")
        return replace(only, start=first, end=last)

    def point(self, moment: Written | None, as_of: int | None = None, *, known: bool) -> AsOf:
        """
        Return the time of a point of a comparison; None is now.

        Args:
            moment: an event, as the seq that it is; a time, as an event time or a recording time.
            as_of: the event time that all points are about; they are then recording times.
            known: a time is a recording time.
        """
        if moment is None:
            return AsOf(as_of=as_of)
        is_event = moment.parts.keys() & {"seq", "order"} or "close" in moment.parts.values()
        if known or is_event:
            return replace(self.known(moment), as_of=as_of)
        if as_of is not None:
            raise InvalidInput("with --as-of a point is a recording time: an event like seq:N, now, or --known")
        return AsOf(as_of=self.event_time(moment))

    def event_time(self, moment: Written) -> int:
        """Return a moment as an event time, ns UTC."""
        return self._place(moment, known=False).at

    def known(self, moment: Written) -> AsOf:
        """Return a moment as a recording time or a seq."""
        if "seq" in moment.parts:
            return AsOf(at_seq=self._seq(moment))
        place = self._place(moment, known=True)
        return AsOf(known_at=place.at) if place.seq is None else AsOf(at_seq=place.seq)

    def _place(self, moment: Written, *, known: bool) -> Place:
        match moment.parts:
            case {"seq": _}:
                return self._after(self._seq(moment), moment)
            case {"order": order_id}:
                return self._after(self._last_of_order(order_id, moment), moment)
            case {"ago": count, "unit": unit}:
                return Place(max(0, self._now - int(count) * _UNITS[unit]))
            case {"alone": "close"}:
                return self._closing(None, moment)
            case {"alone": clock}:
                return Place(self._on_only_day(clock, moment, known=known))
            case {"day": day, "time": "close"}:
                return self._closing(self._trading_day(day), moment)
            case {"day": day, "time": clock}:
                return Place(self._local(self._date(day), clock, moment))
            case {"day": day}:
                begin, end = self.calendar.span_of(self._trading_day(day))
                return Place(begin if moment.begins else end - 1)
            case _:
                return Place(instant(moment.text, moment.name))

    # --- events ---

    def _seq(self, moment: Written) -> int:
        """Return the seq that a text names; a bare number must be an event of the log: it may be meant otherwise."""
        seq, last = int(moment.parts["seq"]), self._log.head().seq
        if seq > last and not moment.text.startswith("seq:"):
            raise InvalidInput(
                f"{moment.name}: the log has no event {seq} (its last is {last}); write seq:{seq} for the event, or an "
                "instant like 2024-03-15T14:05:00Z"
            )
        return seq

    def _after(self, seq: int, moment: Written) -> Place:
        for each in self._log.read(max(seq, 1) - 1, seq):
            return Place(each.effective_at, seq)
        raise NoSuchMoment(f"{moment.name}: the log has no event {seq}; it ends at seq {self._log.head().seq}")

    def _last_of_order(self, order_id: str, moment: Written) -> int:
        streams = self._log.order_streams(order_id)
        account, slash, rest = order_id.partition("/")
        if not streams and slash:
            streams = [each for each in self._log.order_streams(rest) if each == f"order/{account}/{rest}"]
        if not streams:
            raise NoSuchMoment(f"{moment.name}: no order {shown(order_id)} in this log")
        if len(streams) > 1:
            raise _ambiguous(
                moment, "several accounts have it", (each.replace("order/", "order:", 1) for each in streams)
            )
        return self._log.stream(streams[0])[-1].seq

    def _closing(self, day: str | None, moment: Written) -> Place:
        """Return the place of a `DayClosed`; of the only one without a day."""
        stream = self._log.stream(f"day/{EVERY_ACCOUNT}")
        closed = {each.event.trading_day: each for each in stream if isinstance(each.event, DayClosed)}
        if day is None and len(closed) > 1:
            raise _ambiguous(moment, "several days are closed", (f"{each} close" for each in closed))
        found = closed.get(day) if day is not None else next(iter(closed.values()), None)
        if found is None:
            what = "no trading day is closed" if day is None else f"{day} is not closed"
            also = f" (closed: {', '.join(sorted(closed)[-_MOST_CHOICES:])})" if closed else ""
            raise NoSuchMoment(f"{moment.name}: {what} in this log{also}")
        assert isinstance(found.event, DayClosed), "chosen by kind"
        return Place(self.calendar.span_of(found.event.trading_day)[1] - 1, found.seq)

    # --- days and times ---

    def _trading_day(self, day: str) -> str:
        return self._relative(day, date.fromisoformat(self.calendar.day_of(self._now))).isoformat()

    def _date(self, day: str) -> date:
        return self._relative(day, local_date(self._now, self.zone))

    @staticmethod
    def _relative(day: str, today: date) -> date:
        if day[0].isdigit():
            return date.fromisoformat(day)
        return today - timedelta(days=day == "yesterday")

    def _local(self, day: date, clock: str, moment: Written) -> int:
        """Return the instant of a calendar date and time in the zone."""
        of_day, nanoseconds = _clock(clock)
        found = local_instants(datetime.combine(day, of_day), self.zone)
        return self._only(found, f"{day} {clock}", moment) + nanoseconds

    def _on_only_day(self, clock: str, moment: Written, *, known: bool) -> int:
        """Return the instant of a time on the only trading day of the log."""
        days = self._recorded_days if known else self._days
        if len(days) != 1:
            why = f"the log has {len(days)} {'days of recording' if known else 'trading days'}"
            raise _ambiguous(moment, why, (f"{day} {clock}" for day in days[-_MOST_CHOICES:]))
        begin, end = self.calendar.span_of(days[0])
        of_day, nanoseconds = _clock(clock)
        dates = {local_date(begin, self.zone), local_date(end - 1, self.zone)}
        instants = sorted(at for day in dates for at in local_instants(datetime.combine(day, of_day), self.zone))
        found = [at for at in instants if begin <= at < end]
        return self._only(found, f"{clock} on {days[0]}", moment) + nanoseconds

    def _only(self, found: list[int], local: str, moment: Written) -> int:
        if not found:
            raise InvalidInput(
                f"{moment.name}: {shown(moment.text)}: there is no {local} in {self.zone.key}: its clocks were set "
                "forward over it"
            )
        if len(found) > 1:
            choices = (local_iso(each, self.zone) for each in found)
            raise _ambiguous(moment, f"{self.zone.key} has {local} twice: its clocks were set back", choices)
        return found[0]

    @cached_property
    def _days(self) -> list[str]:
        """Return the trading days on which events of the log are booked."""
        return sorted(self._log.ends_of_days(self._log.head().seq, CODEC.topics))

    @property
    def _recorded_days(self) -> list[str]:
        """Return the trading days of the first and of the last recording."""
        last = self._log.head()
        first = next((each.recorded_at for each in self._log.read(until=1)), last.recorded_at)
        return sorted({self.calendar.day_of(each) for each in (first, last.recorded_at)}) if last.seq else []


def _ambiguous(moment: Written, why: str, choices: Iterable[str]) -> InvalidInput:
    several = " or ".join(choices)
    advice = f"; write {several}" if several else ""
    return InvalidInput(f"{moment.name}: {shown(moment.text)} is ambiguous: {why}{advice}")
