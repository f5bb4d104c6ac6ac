"""Events as bytes: a closed table of names, JSON bodies, old shapes brought up to date (design, section 4)."""

import json
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oms_es.decimals import decimal, text
from oms_es.domain.events import (
    EVENTS,
    AccountEvent,
    Event,
    FillAdded,
    MarkRecorded,
    MergedFill,
    OrderSubmitted,
    StateChanged,
)
from oms_es.log.codec import Codec, CodecError
from oms_es.vocabulary import OrderSide, OrderState, OrderType
from tests.builders import S, filled, marked, moved, num, submitted, table


class CheckedCodec(Codec):
    """A codec that checks with each body that the quick way gives the same event, or leaves it to the other."""

    def decode(self, originator_id: str, topic: str, state: bytes) -> Event:
        quick = self.decode_quickly(originator_id, topic, state)
        try:
            event = super().decode(originator_id, topic, state)
        except CodecError:
            assert quick is None, "the quick way reads what is refused"
            raise
        assert quick is None or quick == event
        return event


CODEC = CheckedCodec()

# --- any event there can be ---

names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
accounts = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)
numbers = st.one_of(
    st.integers(-(10**36) + 1, 10**36 - 1).map(lambda units: decimal(Decimal(f"{units}E-18"))),
    st.integers(-1000, 1000).map(lambda units: decimal(Decimal(f"{units}E-8"))),
    st.integers(-1000, 1000).map(decimal),
)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: names,
    bool: st.booleans(),
    int: st.integers(0, 2**63 - 1),
    Decimal: numbers,
    NoneType: st.none(),
    tuple[str, ...]: st.lists(names, max_size=3).map(tuple),
    dict[str, str]: st.dictionaries(names, names, max_size=3),
    dict[str, str | bool | None]: st.dictionaries(names, st.one_of(names, st.booleans(), st.none()), max_size=3),
    dict[str, str | tuple[str, ...] | None]: st.dictionaries(
        names, st.one_of(names, st.none(), st.lists(names, max_size=3).map(tuple)), max_size=3
    ),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a field, by the type it is annotated with."""
    if kind in PLAIN:
        return PLAIN[kind]
    if kind == tuple[MergedFill, ...]:
        return st.lists(of_struct(MergedFill), max_size=3).map(tuple)
    if get_origin(kind) in (Union, UnionType):
        return st.one_of(*map(values_of, get_args(kind)))
    assert issubclass(kind, Enum), f"nobody knows values of {kind}"
    return st.sampled_from(kind)


def of_struct(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return structs of a class, every field filled."""
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: values_of(hints[field.name]) for field in msgspec.structs.fields(cls)})


def of_class(cls: type[Event]) -> st.SearchStrategy[Event]:
    """Return events of a class, every field filled."""
    hints = get_type_hints(cls)
    fields = {field.name: values_of(hints[field.name]) for field in msgspec.structs.fields(cls)}
    if "account" in fields:
        fields["account"] = st.one_of(accounts, st.just("*")) if issubclass(cls, AccountEvent) else accounts
    return st.builds(cls, **fields)


events = st.sampled_from(EVENTS).flatmap(of_class)


def again(event: Event, codec: Codec = CODEC) -> Event:
    return codec.decode(event.originator_id, type(event).__name__, codec.encode(event))


def body_of(event: Event) -> dict[str, Any]:
    body = json.loads(CODEC.encode(event))
    assert isinstance(body, dict)
    return body


# --- what is written ---


def test_the_topics_are_those_of_the_design_for_ever() -> None:
    assert set(CODEC.topics) == {
        "OrderSubmitted", "StateChanged", "FillAdded", "OrderAmended", "AmendRefused", "FillBusted", "FillCorrected",
        "FillQuarantined", "QuarantineResolved", "MarkRecorded", "InstrumentDefined", "PolicyChanged",
        "TradingLevelChanged", "DayClosed", "ExternalIdAssigned", "OrdersMerged", "CommandChangedNothing",
        "CancelRequested", "CancelRejected", "ReplaceRequested", "ReplaceRejected",
        "ClockAccepted",
    }  # fmt: skip


@pytest.mark.parametrize("row", table("bodies"))
def test_a_body_is_read_and_written_as_the_release_that_began_its_topic_wrote_it(row: dict[str, str]) -> None:
    event = CODEC.decode(row["stream"], row["topic"], row["body"].encode())

    assert type(event).__name__ == row["topic"]
    assert event.originator_id == row["stream"]
    assert CODEC.encode(event).decode() == row["body"]


def test_every_topic_has_a_body_in_the_table() -> None:
    assert {row.values[0]["topic"] for row in table("bodies")} == set(CODEC.topics)


@pytest.mark.parametrize("cls", EVENTS)
def test_an_event_that_was_written_is_read_back_as_the_same_event(cls: type[Event]) -> None:
    @given(of_class(cls))
    def holds(event: Event) -> None:
        found = again(event)

        assert type(found) is cls
        assert found == event

    holds()


@given(events)
def test_a_body_does_not_repeat_the_fields_of_its_stream(event: Event) -> None:
    said = {"order": {"account", "order_id"}, "market": {"symbol"}}.get(
        event.originator_id.partition("/")[0], {"account"}
    )

    assert not said & body_of(event).keys()


@given(events)
def test_every_number_of_money_or_quantity_is_stored_as_canonical_text(event: Event) -> None:
    body = body_of(event)
    for field in msgspec.structs.fields(event):
        value = getattr(event, field.name)
        if isinstance(value, Decimal) and field.name in body:
            assert body[field.name] == text(value)


@pytest.mark.parametrize(("number", "stored"), [
    ("0.00000001", "0.00000001"), ("0.0000001", "0.0000001"), ("-0.00000001", "-0.00000001"),
    ("0.000000000000000001", "0.000000000000000001"), ("100000000000000000", "100000000000000000"),
    ("1.50", "1.5"), ("-0", "0"),
])  # fmt: skip
def test_small_and_large_numbers_are_stored_without_an_exponent(number: str, stored: str) -> None:
    assert body_of(marked(number))["price"] == stored
    assert body_of(filled(number, number))["fill_quantity"] == stored


@pytest.mark.parametrize("exponent", [Decimal("1E-8"), Decimal("1E-18"), Decimal("-2.5E-9")])
def test_a_decimal_that_python_would_print_with_an_exponent_is_stored_without(exponent: Decimal) -> None:
    assert body_of(MarkRecorded(symbol="A", price=exponent))["price"] == text(exponent)


@given(events, st.sampled_from(["E-1", "1E-8", "E-", "order-E-5"]))
def test_text_that_looks_like_an_exponent_changes_nothing_else_in_the_body(event: Event, suspicious: str) -> None:
    plain = msgspec.structs.replace(event, actor="someone")
    curious = msgspec.structs.replace(event, actor=suspicious)
    body, expected = body_of(curious), body_of(plain) | {"actor": suspicious}

    assert again(curious) == curious
    assert {name: expected[name] for name in body} == body


@given(events)
def test_what_was_read_is_written_as_it_was(event: Event) -> None:
    written = CODEC.encode(event)

    assert CODEC.encode(again(event)) == written


@given(events)
def test_any_auditor_can_read_a_body_with_any_json_reader(event: Event) -> None:
    body = body_of(event)
    names_of_fields = {field.name for field in msgspec.structs.fields(event)}

    assert body.keys() <= names_of_fields


# --- shapes that change with time ---


@given(events, st.dictionaries(names.map(lambda name: f"later_{name}"), st.one_of(names, st.integers(), st.none())))
def test_fields_of_a_later_release_are_passed_over(event: Event, later: dict[str, Any]) -> None:
    body = json.dumps(later | body_of(event) | {"later": {"deep": [1, None, "x"]}}).encode()

    assert CODEC.decode(event.originator_id, type(event).__name__, body) == event


@given(events)
def test_fields_that_an_earlier_release_did_not_have_get_their_defaults(event: Event) -> None:
    defaults = {
        field.name: field.default
        for field in msgspec.structs.fields(event)
        if field.default is not msgspec.NODEFAULT and field.name != "order_known"  # the stream's name depends on it
    }
    body = {name: value for name, value in body_of(event).items() if name not in defaults}

    found = CODEC.decode(event.originator_id, type(event).__name__, json.dumps(body).encode())

    assert found == msgspec.structs.replace(event, **defaults)


@given(events, st.randoms())
def test_a_body_without_something_it_cannot_do_without_is_refused(event: Event, chance: Any) -> None:
    required = {field.name for field in msgspec.structs.fields(event) if field.default is msgspec.NODEFAULT}
    body = body_of(event)
    present = sorted(required & body.keys())
    assume(present)
    del body[chance.choice(present)]

    with pytest.raises(CodecError, match=type(event).__name__):
        CODEC.decode(event.originator_id, type(event).__name__, json.dumps(body).encode())


def cents_to_price(body: dict[str, Any]) -> dict[str, Any]:
    """Bring a made-up first shape, a price in whole cents, to the second."""
    cents = int(body.pop("cents"))
    return body | {"value": f"{cents // 100}.{cents % 100:02d}"}


def value_to_price(body: dict[str, Any]) -> dict[str, Any]:
    """Bring the made-up second shape to the third, which is today's."""
    return body | {"price": body.pop("value")}


GROWN = CheckedCodec(upcasters={"MarkRecorded": (cents_to_price, value_to_price)})


@pytest.mark.parametrize("body", [
    b'{"cents":1050,"actor":"desk"}',
    b'{"actor":"desk","v":1,"cents":1050}',
    b'{"v":2,"value":"10.50","actor":"desk"}',
    b'{"v":3,"price":"10.5","actor":"desk"}',
])  # fmt: skip
def test_codec_upcasts_a_body_of_an_earlier_version(body: bytes) -> None:
    event = GROWN.decode("market/AAA", "MarkRecorded", body)

    assert event == MarkRecorded(symbol="AAA", price=num("10.5"), actor="desk")


def test_codec_writes_the_version_of_a_body_whose_shape_has_changed() -> None:
    grown_once = Codec(upcasters={"MarkRecorded": (value_to_price,)})

    assert CODEC.encode(marked("10.5")) == b'{"price":"10.5"}'
    assert grown_once.encode(marked("10.5")) == b'{"v":2,"price":"10.5"}'
    assert GROWN.encode(marked("10.5")) == b'{"v":3,"price":"10.5"}'
    assert GROWN.encode(filled()) == CODEC.encode(filled())


@given(events)
def test_a_shape_that_has_changed_comes_back_the_same_too(event: Event) -> None:
    grown = Codec(upcasters={type(event).__name__: (cents_to_price, value_to_price)})

    assert again(event, grown) == event


@pytest.mark.parametrize("version", ["4", "99", "0", "-1", '"2"', "null", "1.5", "true", "[]", "{}"])
def test_codec_refuses_a_body_of_an_unknown_version(version: str) -> None:
    with pytest.raises(CodecError, match="MarkRecorded"):
        GROWN.decode("market/AAA", "MarkRecorded", b'{"v":%b,"price":"10.5"}' % version.encode())


@pytest.mark.parametrize("body", [b'{"v":1}', b'{"v":1,"cents":"many"}', b'{"v":1,"cents":null}', b"[]", b"{"])
def test_codec_refuses_a_body_of_an_earlier_version_that_it_cannot_upcast(body: bytes) -> None:
    with pytest.raises(CodecError, match="MarkRecorded"):
        GROWN.decode("market/AAA", "MarkRecorded", body)


def test_a_topic_that_was_renamed_is_still_read() -> None:
    renamed = Codec(renamed={"TradeReported": "FillAdded"})

    assert renamed.decode("order/default/o-1", "TradeReported", CODEC.encode(filled())) == filled()
    assert renamed.decode("order/default/o-1", "FillAdded", CODEC.encode(filled())) == filled()


def test_a_codec_knows_only_the_events_it_was_given() -> None:
    small = Codec(events=(MarkRecorded,))

    assert small.topics == ("MarkRecorded",)
    with pytest.raises(CodecError, match="FillAdded"):
        small.decode("order/default/o-1", "FillAdded", CODEC.encode(filled()))


# --- what a stranger may have put there ---


@pytest.mark.parametrize("topic", [
    "", "fillAdded", "FILLADDED", " FillAdded", "FillAdded\0", "Event", "OrderEvent",
    "oms_es.domain.events:FillAdded", "oms_es.domain.events.FillAdded", "os:system", "builtins:eval", "__class__",
    "__import__('os')", "Ｆｉｌｌ", "\ud800", "x" * 100_000,
])  # fmt: skip
def test_a_topic_that_is_no_name_of_ours_is_refused_and_runs_nothing(topic: str) -> None:
    with pytest.raises(CodecError) as refusal:
        CODEC.decode("order/default/o-1", topic, CODEC.encode(filled()))

    assert str(refusal.value).isascii()


BODIES = {
    "nothing": b"",
    "no JSON": b"price 5",
    "a list": b'["price"]',
    "a text": b'"price"',
    "a number": b"5",
    "null": b"null",
    "cut off": b'{"price":"5"',
    "something behind it": b'{"price":"5"}{}',
    "another first byte": b'["price":"5"}',
    "no first byte": b'"price":"5"}',
    "a price of another type": b'{"price":true}',
    "a price that is no number": b'{"price":"five"}',
    "a price that is not a number": b'{"price":"NaN"}',
    "a price without an end": b'{"price":"Infinity"}',
    "a zero with a large exponent": b'{"price":"0E+70"}',
    "an escaped exponent": b'{"price":"1\\u0045-70"}',
    "escaped zeros": b'{"price":"0.' + b"\\u0030" * 70 + b'1"}',
    "bytes that are no text": b'{"price":"\xff"}',
    "a surrogate": b'{"price":"5","actor":"\\ud800"}',
    "a flag that is no bool": b'{"price":"5","clamped":1}',
    "nothing where something is needed": b'{"price":null}',
    "too deep": b'{"price":"5","later":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_we_cannot_have_written_is_refused(body: bytes) -> None:
    with pytest.raises(CodecError, match="MarkRecorded"):
        CODEC.decode("market/AAA", "MarkRecorded", body)


@pytest.mark.parametrize(("stream", "topic", "body"), [
    ("market/AAA", "MarkRecorded", b'{"price":"5","symbol":"BBB"}'),
    ("order/a/o-1", "StateChanged", b'{"old":"idle","new":"pending","account":"b"}'),
    ("order/a/o-1", "StateChanged", b'{"old":"idle","new":"pending","order_id":"o-2"}'),
    ("policy/a", "TradingLevelChanged", b'{"level":"halted","account":"*"}'),
])  # fmt: skip
def test_a_body_cannot_speak_for_another_stream(stream: str, topic: str, body: bytes) -> None:
    try:
        event = CODEC.decode(stream, topic, body)
    except CodecError:
        return
    assert event.originator_id == stream


@pytest.mark.parametrize("stream", ["", "market/a", "quarantine/a", "policy/*", "x/y/z"])
def test_a_stream_of_another_kind_has_no_order_events(stream: str) -> None:
    with pytest.raises(CodecError, match="StateChanged"):
        CODEC.decode(stream, "StateChanged", CODEC.encode(moved(S.IDLE, S.PENDING)))


@given(events, st.binary(max_size=3), st.randoms())
def test_damaged_bytes_are_refused_or_read_and_never_anything_else(event: Event, noise: bytes, chance: Any) -> None:
    written = CODEC.encode(event)
    place = chance.randrange(len(written) + 1)
    damaged = written[:place] + noise + written[place + chance.randrange(3) :]

    try:
        found = CODEC.decode(event.originator_id, type(event).__name__, damaged)
    except CodecError:
        return
    assert type(found) is type(event)


@pytest.mark.parametrize(
    "order_id", ["o/1", "//", 'a"b', "a\\b", "日本", "a b", "'", "\u202e", "{}", "\U0001f4b9", "account", "\u2028"]
)
def test_an_order_id_of_any_characters_comes_back_from_the_name_of_its_stream(order_id: str) -> None:
    event = OrderSubmitted(
        account="a.b-c_d", order_id=order_id, symbol="BTC/USD", side=OrderSide.SELL, quantity=num("1"),
        order_type=OrderType.MARKET,
    )  # fmt: skip

    assert event.originator_id == f"order/a.b-c_d/{order_id}"
    assert again(event) == event


def test_states_and_sides_are_stored_in_the_words_of_the_spec() -> None:
    assert body_of(moved(OrderState.IDLE, OrderState.PENDING)) == {"old": "idle", "new": "pending"}
    assert body_of(submitted())["side"] == "buy"
    assert isinstance(again(moved(S.PENDING, S.WORKING)), StateChanged)
    assert isinstance(again(filled()), FillAdded)


@pytest.mark.parametrize("event", [submitted(), moved(S.PENDING, S.WORKING), filled(), marked("7.5")])
def test_a_usual_body_is_decoded_the_quick_way(event: Event) -> None:
    stream, topic = event.originator_id, type(event).__name__

    assert CODEC.decode_quickly(stream, topic, CODEC.encode(event)) == event
