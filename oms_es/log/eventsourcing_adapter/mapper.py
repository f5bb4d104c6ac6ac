"""
The library's mapper over our closed set of events.

A stored topic is looked up in the codec's table and nowhere else, so a log can never make a program import or run
anything. What comes back is an instance of our own class with what the library asks of a domain event added to it:
`singledispatchmethod` tells a `FillAdded` from a `StateChanged`, and `isinstance` does too.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Cipher, Compressor, Mapper, Notification, StoredEvent, Transcoder
from msgspec import ValidationError, convert, defstruct, to_builtins
from msgspec.structs import asdict

from oms_es.decimals import decimal
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import EVENTS, Event
from oms_es.errors import DamagedLog, InvalidInput
from oms_es.log.codec import CODEC, CodecError
from oms_es.log.contract import to_recorded
from oms_es.log.hash_chain import StoredRow


@dataclass(frozen=True)
class OwnStoredEvent(StoredEvent):
    """One of our events on its way into the log, with the column that only it can say."""

    account: str


@dataclass(frozen=True)
class RowNotification(Notification):
    """What the library wants of a row, and the row."""

    row: StoredRow


class InLog:
    """What a domain event has beyond the event that it is; `isinstance(event, InLog)` tells a type checker so."""

    __slots__ = ()
    originator_version: int  # its place in its stream, from 1
    recorded: Recorded | None  # seq, times, trading day, and the bare event; None on one that is not in a log yet


_IN_LOG = {
    cls: defstruct(
        cls.__name__,
        [("originator_version", int), ("recorded", Recorded | None, None)],
        bases=(cls, InLog),
        namespace={"__doc__": cls.__doc__},
        module=__name__,
        frozen=True,
        kw_only=True,
    )
    for cls in EVENTS
}
_BARE: dict[type, type[Event]] = {in_log: bare for bare, in_log in _IN_LOG.items()}


def in_log(event: Event, version: int, recorded: Recorded | None = None) -> Any:
    """Return the event as the domain event number `version` of its stream; it is an `InLog` and what it was before."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return _IN_LOG[type(event)](**fields, originator_version=version, recorded=recorded)


class LogMapper(Mapper[str]):
    """
    Our events to rows and back.

    Raises:
        InvalidInput: a cipher or a compressor is configured; bodies are JSON that any auditor can read.
    """

    def __init__(
        self, transcoder: Transcoder, compressor: Compressor | None = None, cipher: Cipher | None = None
    ) -> None:
        if compressor is not None or cipher is not None:
            raise InvalidInput("a log is neither compressed nor encrypted: unset COMPRESSOR_TOPIC, CIPHER_KEY")
        super().__init__(transcoder)

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """
        Return what is to be stored for an event made by `in_log`.

        Raises:
            InvalidInput: it is something else, or would not come back from the log as it is.
        """
        bare = _BARE.get(type(domain_event))
        if bare is None:
            raise InvalidInput(f"a log takes what in_log(event, version) returns, no {type(domain_event).__name__}")
        event = bare(**{name: getattr(domain_event, name) for name in bare.__struct_fields__})
        account = getattr(event, "account", "")
        return OwnStoredEvent(
            event.originator_id, domain_event.originator_version, bare.__name__, _body(event), account
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """
        Return the event that is stored, as `in_log` does.

        Raises:
            DamagedLog: the row is none that we wrote; names its seq, where it is known.
        """
        if isinstance(stored_event, RowNotification):
            recorded = to_recorded(stored_event.row)
            return in_log(recorded.event, recorded.originator_version, recorded)  # type: ignore[no-any-return]
        try:
            event = CODEC.decode(str(stored_event.originator_id), stored_event.topic, stored_event.state)
        except CodecError as error:
            raise DamagedLog(f"{_place(stored_event)}: {error}") from None
        return in_log(event, stored_event.originator_version)  # type: ignore[no-any-return]


def _body(event: Event) -> bytes:
    """Return the body, if a reader will get the same event back from it: over any other one nobody reads on."""
    topic = type(event).__name__
    try:
        fields = asdict(convert(to_builtins(event), type(event)))  # says which field is not of its type
        for name, value in fields.items():
            if isinstance(value, Decimal):
                decimal(value, name)
        state = CODEC.encode(event)
        again = CODEC.decode(event.originator_id, topic, state)
    except (ValidationError, TypeError, CodecError, AssertionError) as error:  # the codec asserts that the stream fits
        raise InvalidInput(f"{topic}: {error}") from None
    if again != event or CODEC.encode(again) != state:
        raise InvalidInput(f"{topic} of {event.originator_id!a} would not come back from the log as it is")
    return state


def _place(stored_event: StoredEvent) -> str:
    if isinstance(stored_event, Notification):
        return f"seq {stored_event.id}"
    return f"version {stored_event.originator_version} of {str(stored_event.originator_id)!a}"
