"""
The library's mapper for our fixed set of events.

A stored topic is looked up only in the codec's table, so a log cannot make a program import or run anything. The
mapper returns instances of subclasses of our events, with the attributes that the library requires of a domain
event; so `isinstance` and `singledispatchmethod` work with `FillAdded` and the others.
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
    """A stored event of ours, with the column that the library does not have."""

    account: str


@dataclass(frozen=True)
class RowNotification(Notification):
    """A notification of the library, with its row."""

    row: StoredRow


class InLog:
    """The additional attributes of a domain event; for `isinstance` in type-checked code."""

    __slots__ = ()
    originator_version: int  # position in the stream, from 1
    recorded: Recorded | None  # seq, times, trading day, and the event; None before the event is in a log


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
    """Return the event as domain event number `version` of its stream: an `InLog` and its own class."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return _IN_LOG[type(event)](**fields, originator_version=version, recorded=recorded)


class LogMapper(Mapper[str]):
    """
    Mapper between domain events and stored events.

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
        Return the stored event of an event returned by `in_log`.

        Raises:
            InvalidInput: it is another object, or the log could not return the same event.
        """
        bare = _BARE.get(type(domain_event))
        if bare is None:
            raise InvalidInput(f"a log accepts events from in_log(event, version), not {type(domain_event).__name__}")
        event = bare(**{name: getattr(domain_event, name) for name in bare.__struct_fields__})
        account = getattr(event, "account", "")
        return OwnStoredEvent(
            event.originator_id, domain_event.originator_version, bare.__name__, _body(event), account
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """
        Return the domain event of a stored event, as `in_log` does.

        Raises:
            DamagedLog: the row is invalid; names its seq, if known.
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
    """Return the body; raise unless it decodes to the same event, because an invalid row would block every reader."""
    topic = type(event).__name__
    try:
        fields = asdict(convert(to_builtins(event), type(event)))  # raises with the name of a field of a wrong type
        for name, value in fields.items():
            if isinstance(value, Decimal):
                decimal(value, name)
        state = CODEC.encode(event)
        again = CODEC.decode(event.originator_id, topic, state)
    except (ValidationError, TypeError, CodecError, AssertionError) as error:  # the codec asserts that the stream fits
        raise InvalidInput(f"{topic}: {error}") from None
    if again != event or CODEC.encode(again) != state:
        raise InvalidInput(f"{topic} of {event.originator_id!a} would not be read back unchanged")
    return state


def _place(stored_event: StoredEvent) -> str:
    if isinstance(stored_event, Notification):
        return f"seq {stored_event.id}"
    return f"version {stored_event.originator_version} of {str(stored_event.originator_id)!a}"
