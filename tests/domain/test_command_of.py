"""A command can be read out of the events it gave, and a repetition told from a conflict (design, sections 4 and 5)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oms_es.api.oms import OrderManagementSystem
from oms_es.decimals import ONE
from oms_es.domain.command_of import command_of, same_content
from oms_es.domain.commands import (
    AddFill,
    ApplyReport,
    BustFill,
    ChangeState,
    Command,
    CorrectFill,
    DefineInstrument,
    LinkOrder,
    OrderCommand,
    ReduceOrder,
    RejectCancel,
    RejectReplace,
    ReplaceOrder,
    ReportState,
    Request,
    RequestCancel,
    RequestReplace,
    ResolveQuarantined,
    SubmitOrder,
)
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import Event
from oms_es.domain.order_rules import decide
from oms_es.engine.order_lookup import resolve_order
from oms_es.engine.settings import Settings
from oms_es.errors import CommandConflict, FillQuarantinedError, UnknownQuarantine
from oms_es.log.memory import MemoryLog
from oms_es.vocabulary import OrderSide, OrderState, OrderType, Origin, TimeInForce, TradingLevel
from tests.builders import (
    BUY,
    NOON,
    ORDER,
    SELL,
    Desk,
    S,
    add_fill,
    amend,
    cancel,
    change_state,
    halt,
    limits,
    mark,
    num,
    order_of,
    said,
    submit,
    table,
)
from tests.random_days import Step, commands, days, play

# --- from events to the command ---


@given(days)
def test_command_of_the_events_of_a_command_is_that_command(steps: list[Step]) -> None:
    desk = Desk()
    for step in steps:
        events = [each.event for each in play(desk, step)]
        if not events or isinstance(step.command, ApplyReport):  # a report becomes several commands
            continue
        assert desk.asked is not None
        before = command_of(events)

        assert type(before) is type(desk.asked)
        assert same_content(desk.asked, before)
        assert same_content(before, desk.asked)
        assert before.actor == desk.asked.actor
        assert before.account == desk.asked.account


@pytest.mark.parametrize("row", [row for row in table("orders") if row.values[0]["events"][0].islower()])
def test_command_of_every_outcome_in_the_table_of_orders_is_its_command(row: dict[str, str]) -> None:
    events: list[Event] = []
    for words in row["history"].split(", "):
        order = order_of(events)
        ids = [] if order is None else [each.fill.quarantine_id for each in order.waiting]
        events += decide(said(words, ids), order, DecisionContext())
    order = order_of(events)
    assert order is not None
    command = said(row["command"], [each.fill.quarantine_id for each in order.waiting])
    origin = Origin.IMPORT if "import" in row["around"] else Origin.COMMAND
    refused = ("ORDER_RATE: 5",) if "refused" in row["around"] else ()

    given_by = DecisionContext(accept_exceptions="accept" in row["around"], origin=origin, violations=refused)
    outcome = decide(command, order, given_by)

    assert not outcome or same_content(command, command_of(outcome))


PENDING, PART_FILLED = "buy 100@10", "buy 100@10, ack, fill 40@10 t1 fee=1"
ASKED: list[tuple[str, Command]] = [  # after which history
    ("", submit(reduce_only=True, time_in_force=TimeInForce.FOK, actor="desk", account="b")),
    ("", submit(price=None)),
    ("", replace(mark("10.50"), actor="feed")),
    ("", DefineInstrument(symbol="AAA", multiplier=num("10"), currency="EUR", actor="desk")),
    ("", replace(limits("b", max_skew="5", price_band=None, restricted=("X", "A")), reason="calm", actor="desk")),
    ("", replace(halt(TradingLevel.REDUCE_ONLY, "b"), reason="storm", actor="desk")),
    ("", halt(TradingLevel.NORMAL)),
    ("", add_fill(actor="gateway", fee="-1")),
    ("", add_fill(symbol="AAA", side=SELL, trade=None)),
    *((PENDING, command) for command in (
        change_state(S.WORKING, external_order_id="v-1", actor="gateway"),
        change_state(S.REJECTED, error_message="no such symbol"), change_state(S.FAILED),
        cancel(), cancel(reason="", actor="desk"), cancel(reason="the day is over"),
        amend("50"), amend(price="11"), amend("0"),
    )),
    *((PART_FILLED, command) for command in (
        change_state(S.CANCELLED, external_order_id="v-2"), change_state(S.CANCELLED), cancel(reason="User requested"),
        BustFill(order_id=ORDER, trade_id="t1", reason="venue", actor="gateway"),
        CorrectFill(order_id=ORDER, trade_id="t1", fill_quantity=num("50"), reason="venue"),
        CorrectFill(order_id=ORDER, trade_id="t1", fill_price=num("9"), fee=num("0")),
        CorrectFill(order_id=ORDER, trade_id="t1", fill_quantity=num("500"), fill_price=num("9"), reason="venue"),
        ReduceOrder(order_id=ORDER, quantity=num("5")), amend("40", "12"),
        add_fill("41", trade="t1", symbol="AAA", side=BUY),
        add_fill("500", trade=None, symbol="AAA", side=BUY, actor="gateway"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("history", "command"), ASKED)
def test_a_command_comes_back_whole_from_its_events(history: str, command: Command) -> None:
    desk = Desk()
    desk.say(*filter(None, history.split(", ")))

    assert command_of(desk.perform(command)) == command


def test_a_submit_that_was_refused_comes_back_whole() -> None:
    command = submit("7", actor="desk")

    assert command_of(Desk(min_quote_size="10").perform(command)) == command


def test_command_of_tells_a_reported_cancel_from_cancel_order() -> None:
    reported, asked = change_state(S.CANCELLED), cancel(reason="")

    assert not same_content(reported, asked)
    for command in (reported, asked):
        desk = Desk()
        desk.say("buy 100@10", "ack")
        assert same_content(command_of(desk.perform(command)), command)


def test_command_of_a_correction_has_only_the_figures_that_were_named() -> None:
    desk = Desk()
    desk.say("buy 100@10", "ack", "fill 40@10 t1")

    before = command_of(desk.say("correct t1 50"))

    assert before == CorrectFill(order_id=ORDER, trade_id="t1", fill_quantity=num("50"))
    assert not same_content(before, CorrectFill(order_id=ORDER, trade_id="t1", fill_quantity=num("50"), fee=num("0")))


def test_the_commands_at_random_are_of_every_kind() -> None:
    kinds: set[str] = set()

    @given(st.lists(commands, min_size=20, max_size=40))
    def collect(found: list[Command]) -> None:
        kinds.update(type(command).__name__ for command in found)

    collect()
    assert kinds >= {cls.__name__ for cls in OrderCommand.__subclasses__()} - {"ReduceOrder"}


# --- the same command again, or another one ---

OTHER: dict[type, Any] = {str: "other", bool: True, OrderSide: SELL, OrderType: OrderType.MARKET}
WHOLE: list[Command] = [
    submit(),
    change_state(S.WORKING, external_order_id="v-1", error_message="x"),
    cancel(),
    amend("50", "11"),
    ReduceOrder(order_id=ORDER, quantity=num("5")),
    add_fill(symbol="AAA", side=BUY),
    BustFill(order_id=ORDER, trade_id="t1", reason="venue"),
    CorrectFill(
        order_id=ORDER, trade_id="t1", fill_quantity=num("5"), fill_price=num("9"), fee=num("1"), reason="venue"
    ),
    LinkOrder(order_id=ORDER, external_order_id="v-1"),
    ReportState(order_id=ORDER, new=S.WORKING, external_order_id="v-1", reason="venue", error_message="x"),
    RequestCancel(order_id=ORDER),
    RejectCancel(order_id=ORDER, reason="venue"),
    RequestReplace(order_id=ORDER, quantity=num("50"), price=num("11"), new_order_id="o-2"),
    RejectReplace(order_id=ORDER, reason="venue"),
    ReplaceOrder(order_id=ORDER, quantity=num("50"), price=num("11"), new_order_id="o-2", external_order_id="v-2"),
    ResolveQuarantined(order_id=ORDER, quarantine_id="q-1", accept=False, symbol="AAA", side=BUY, reason="venue"),
    mark("10"),
    DefineInstrument(symbol="AAA", multiplier=ONE, currency="USD"),
    limits(max_skew="5"),
    halt(),
]
OTHER_VALUES: dict[str, Any] = {
    "new": OrderState.CANCELLED, "time_in_force": TimeInForce.DAY, "level": TradingLevel.NORMAL,
    "values": {"trading.max_skew": "6"}, "tags": {"strategy": "x"},
}  # fmt: skip


def different(command: Command, name: str) -> Command:
    """Return the command with another value in one field."""
    value = getattr(command, name)
    other = OTHER_VALUES.get(name, OTHER.get(type(value), num("77")))
    assert other != value
    return replace(command, **{name: other})


FIELDS = [
    (command, field.name)
    for command in WHOLE
    for field in msgspec.structs.fields(command)
    if not (isinstance(command, mark("1").__class__ | DefineInstrument) and field.name == "account")
]


@pytest.mark.parametrize(
    ("command", "name"), FIELDS, ids=[f"{type(command).__name__}.{name}" for command, name in FIELDS]
)
def test_a_command_with_another_value_anywhere_is_another_command_unless_only_the_asker_differs(
    command: Command, name: str
) -> None:
    other = different(command, name)

    assert same_content(command, other) == (name == "actor")
    assert same_content(other, command) == (name == "actor")
    assert same_content(command, replace(command))


def test_commands_of_different_kinds_are_never_the_same() -> None:
    for one in WHOLE:
        for other in WHOLE:
            assert same_content(one, other) == (one is other)


@pytest.mark.parametrize(("asked", "before", "same"), [
    ({}, {"symbol": "AAA", "side": BUY}, True),
    ({"symbol": "AAA"}, {"symbol": "AAA", "side": BUY}, True),
    ({"symbol": "AAA", "side": BUY}, {}, True),
    ({"symbol": "BBB"}, {"symbol": "AAA", "side": BUY}, False),
    ({"side": SELL}, {"symbol": "AAA", "side": BUY}, False),
])  # fmt: skip
def test_a_fill_may_name_its_symbol_and_side_or_leave_them_to_its_order(
    asked: dict[str, Any], before: dict[str, Any], *, same: bool
) -> None:
    assert same_content(add_fill(**asked), add_fill(**before)) is same


def test_equal_numbers_are_the_same_content_however_they_were_written() -> None:
    assert same_content(submit("100.0", "10.00"), submit("100", "10"))
    assert isinstance(submit(), SubmitOrder)
    assert isinstance(add_fill(), AddFill)
    assert isinstance(change_state(S.WORKING), ChangeState)


# --- a repetition, after what has happened meanwhile ---

HUNDRED, TEN = num("100"), num("10")


def an_oms() -> OrderManagementSystem:
    return OrderManagementSystem(Settings.default(), log=MemoryLog(), clock=lambda: NOON)


@pytest.mark.parametrize("accept", [True, False])
async def test_a_decision_about_a_fill_that_is_asked_again_has_its_first_outcome(*, accept: bool) -> None:
    async with an_oms() as oms:
        await oms.submit_order("AAA", "buy", "limit", HUNDRED, TEN, "o-1")
        with pytest.raises(FillQuarantinedError) as waits:
            await oms.add_fill("o-1", num("101"), TEN, "t1")
        first = await oms.resolve_quarantined(waits.value.quarantine_id, accept, command_id="c1")
        head = oms.log.head()

        again = await oms.resolve_quarantined(waits.value.quarantine_id, accept, command_id="c1")

        assert again == first
        assert oms.log.head() == head
        with pytest.raises(CommandConflict):
            await oms.resolve_quarantined(waits.value.quarantine_id, not accept, command_id="c1")
        with pytest.raises(UnknownQuarantine):
            await oms.resolve_quarantined(waits.value.quarantine_id, accept, command_id="c2")


async def test_a_command_asked_again_has_its_first_outcome_though_its_order_id_is_ambiguous_by_now() -> None:
    async with an_oms() as oms:
        await oms.submit_order("AAA", "buy", "limit", HUNDRED, TEN, "o-1")
        first = await oms.cancel_order("o-1", command_id="c1")
        await oms.submit_order("AAA", "buy", "limit", HUNDRED, TEN, "o-1", account="b")

        again = await oms.cancel_order("o-1", command_id="c1")

        assert again == first


async def test_a_command_asked_again_has_its_first_outcome_though_the_venues_id_is_an_order_id_by_now() -> None:
    async with an_oms() as oms:
        await oms.submit_order("AAA", "buy", "limit", HUNDRED, TEN, "o-1")
        await oms.update_order_state("o-1", "working", external_order_id="v-1")
        first = await oms.add_fill("v-1", num("40"), TEN, "t1", command_id="c1")
        await oms.submit_order("AAA", "buy", "limit", HUNDRED, TEN, "v-1")

        again = await oms.add_fill("v-1", num("40"), TEN, "t1", command_id="c1")

        assert (again.order_id, again.filled_quantity) == (first.order_id, num("40"))
        assert [each.filled_quantity for each in oms.get_all_orders()] == [num("40"), num("0")]


def test_a_command_that_named_the_venues_id_is_recognised_when_it_is_asked_again() -> None:
    desk = Desk()
    desk.say("buy 100@10")
    desk.perform(change_state(S.WORKING, external_order_id="v-1"))
    for asked in (cancel(order_id="v-1"), add_fill(order_id="v-1")):
        before = command_of(desk.perform(asked, any_account=True))

        again = resolve_order(desk.state, Request(command=asked, any_account=True))

        assert same_content(again, before)
