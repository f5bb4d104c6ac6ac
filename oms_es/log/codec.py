"""
Encode events as JSON that any auditor can read, and decode them.

The topic is the class name and is looked up in a fixed table, so a log cannot make this program import or run
anything. The body omits the fields in the stream's name (account, order id, symbol). The body of a later version of
an event contains its version as "v"; a chain of upcasters converts older bodies.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec
import msgspec.inspect
from msgspec.structs import asdict

from oms_es.decimals import text
from oms_es.domain.events import EVENTS, Event, OrdersMerged

_DIGITS = 60  # before and after the point; sums of valid inputs have far fewer
_LONG = 2 * _DIGITS  # bytes; a shorter body cannot contain more digits
_ZEROS = b"0" * 20
Upcaster: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


class CodecError(ValueError):
    """The bytes are not an event that this version knows."""


class Codec:
    """
    Encoder and decoder for a fixed set of event classes.

    Args:
        events: every class that can be in a log.
        upcasters: by topic, the functions that convert a body from version 1 to 2, from 2 to 3, and so on.
        renamed: current topics by the topics of earlier versions.
    """

    def __init__(
        self,
        events: Sequence[type[Event]] = EVENTS,
        upcasters: Mapping[str, Sequence[Upcaster]] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self._decoders = {cls.__name__: msgspec.json.Decoder(cls) for cls in events}
        self._decimals = {cls.__name__: _decimal_fields(cls) for cls in events}
        self._encoder = msgspec.json.Encoder()
        self._upcasters = dict(upcasters or {})
        self._renamed = dict(renamed or {})
        self._quick = {
            topic: (decoder.decode, _values_of(self._decimals[topic]))
            for topic, decoder in self._decoders.items()
            if topic not in self._upcasters and topic not in self._renamed and topic != OrdersMerged.__name__
        }
        self.topics = tuple(self._decoders)

    def encode(self, event: Event) -> bytes:
        """Return the body of the event: JSON without the fields of its stream, decimals as canonical text."""
        whole = self._encoder.encode(event)
        if b"E-" in whole:  # perhaps a decimal like 1E-8, which str() writes with an exponent
            whole = self._encoder.encode(_plain(event))
        known = identity(event.originator_id)
        assert whole.startswith(known), f"{type(event).__name__} does not begin with the fields of its stream"
        rest = whole[len(known) :].removeprefix(b",")
        steps = self._upcasters.get(type(event).__name__) if self._upcasters else None
        if steps:
            version = len(steps) + 1
            return b'{"v":%d,' % version + rest if rest != b"}" else b'{"v":%d}' % version
        return b"{" + rest

    @staticmethod
    def field(name: str, value: str) -> bytes:
        """Return a text field as it is in a body; it is nowhere else in it, for a text escapes its quotation marks."""
        return _json(name) + b":" + _json(value)

    def decode(self, originator_id: str, topic: str, state: bytes) -> Event:
        """
        Return the event of a stored row.

        Raises:
            CodecError: the topic is unknown, or the body does not fit it.
        """
        topic = self._renamed.get(topic, topic)
        decoder = self._decoders.get(topic)
        if decoder is None:
            raise CodecError(f"topic {topic!a} is unknown to this version")
        try:
            if topic in self._upcasters or state.startswith(b'{"v":'):
                state = self._upcast(topic, state)
            if not state.startswith(b"{"):
                raise CodecError(f"the body of {topic} is not a JSON object")
            rest = b"}" if state == b"{}" else b"," + state[1:]
            event = decoder.decode(identity(originator_id) + rest)
        except (msgspec.MsgspecError, UnicodeError, ArithmeticError, RecursionError) as error:
            raise CodecError(f"the body does not fit {topic}: {error}") from None
        if event.originator_id != originator_id:
            raise CodecError(f"the body of {topic} belongs to {event.originator_id!a}, not to its own stream")
        for name in self._decimals[topic]:
            _check_number(getattr(event, name), name, topic, state)
        for fill in event.fills if isinstance(event, OrdersMerged) else ():
            for name in ("fill_quantity", "fill_price", "fee", "multiplier"):
                _check_number(getattr(fill, name), name, topic, state)
        return event

    def decode_quickly(self, originator_id: str, topic: str, state: bytes) -> Event | None:
        """Return the event of a body in the usual form; None for a body that needs the checks of `decode`."""
        kind = self._quick.get(topic)
        if kind is None or not state.startswith(b'{"') or state.startswith(b'{"v":'):
            return None
        if b"E-" in state or b"e-" in state or _ZEROS in state:  # perhaps a number too close to 0
            return None
        decode, decimals = kind
        try:
            event = decode(identity(originator_id) + b"," + state[1:])
            for number in decimals(event):
                if number is not None and not (number.is_finite() and -_DIGITS < number.adjusted() < _DIGITS):
                    return None
                if len(state) > _LONG and len(str(number)) > _LONG:
                    return None
        except (msgspec.MsgspecError, UnicodeError, ArithmeticError, RecursionError):
            return None
        return event if event.originator_id == originator_id else None

    def _upcast(self, topic: str, state: bytes) -> bytes:
        body = msgspec.json.decode(state, type=dict[str, Any])
        version, steps = body.pop("v", 1), self._upcasters.get(topic, ())
        if type(version) is not int or not 1 <= version <= len(steps) + 1:
            raise CodecError(f"{topic} of version {version!a} is unknown; this version reads 1 to {len(steps) + 1}")
        try:
            for upcast in steps[version - 1 :]:
                body = upcast(body)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise CodecError(f"{topic} of version {version} cannot be converted: {error!r}") from None
        return self._encoder.encode(body)


def _values_of(names: tuple[str, ...]) -> Callable[[Event], tuple[Decimal | None, ...]]:
    """Return a function that reads these fields of an event."""
    if len(names) > 1:
        return attrgetter(*names)
    return (lambda _: ()) if not names else lambda event: (getattr(event, names[0]),)


def _check_number(number: Decimal | None, name: str, topic: str, state: bytes) -> None:
    if number is None:
        return
    if not (number.is_finite() and -_DIGITS < number.adjusted() < _DIGITS):
        raise CodecError(f"the body of {topic} contains a number that is out of range: {name}")
    if len(state) > _LONG and len(number.as_tuple().digits) > 2 * _DIGITS:
        raise CodecError(f"the body of {topic} contains a number with too many digits: {name}")


def _decimal_fields(cls: type[Event]) -> tuple[str, ...]:
    found = msgspec.inspect.type_info(cls)
    assert isinstance(found, msgspec.inspect.StructType), "events are structs"
    kinds = {field.name: field.type for field in found.fields}
    return tuple(name for name, kind in kinds.items() if _is_decimal(kind))


def _is_decimal(kind: msgspec.inspect.Type) -> bool:
    parts = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return any(isinstance(part, msgspec.inspect.DecimalType) for part in parts)


def _plain(event: msgspec.Struct) -> dict[str, Any]:
    """Return the fields that differ from their defaults, decimals as canonical text."""
    defaults = {
        field.name: field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        for field in msgspec.structs.fields(event)
    }
    return {
        name: _value(value)
        for name, value in asdict(event).items()
        if defaults[name] is msgspec.NODEFAULT or value != defaults[name]
    }


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, msgspec.Struct):
        return _plain(value)
    return [_value(each) for each in value] if isinstance(value, tuple) else value


@lru_cache(maxsize=65536)
def identity(originator_id: str) -> bytes:
    """Return the beginning of the JSON body: the fields in the stream's name."""
    kind, _, rest = originator_id.partition("/")
    if kind == "order":
        account, _, order_id = rest.partition("/")
        return b'{"account":' + _json(account) + b',"order_id":' + _json(order_id)
    return (b'{"symbol":' if kind == "market" else b'{"account":') + _json(rest)


_json = msgspec.json.Encoder().encode
CODEC = Codec()
