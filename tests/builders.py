"""
Short ways to say a command, an event, an order and a log, for tests.

A table says a command in words (`fill 40@10 t1`) and reads events in words (`pending>working`, `fill 40@10 t1 late`);
`said` and `told` are the two directions.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oms_es.decimals import decimal, text
from oms_es.domain.commands import (
    AddFill,
    AmendOrder,
    ApplyReport,
    BustFill,
    CancelOrder,
    ChangeState,
    Command,
    CorrectFill,
    LinkOrder,
    OrderCommand,
    RecordMark,
    ReduceOrder,
    Request,
    ResolveQuarantined,
    SetLevel,
    SetLimits,
    SubmitOrder,
)
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.envelope import Draft, Recorded
from oms_es.domain.events import (
    AmendRefused,
    Event,
    ExternalIdAssigned,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    InstrumentDefined,
    MarkRecorded,
    OrderAmended,
    OrdersMerged,
    OrderSubmitted,
    PolicyChanged,
    QuarantineResolved,
    StateChanged,
)
from oms_es.domain.order import Order, evolve
from oms_es.domain.order_rules import decide
from oms_es.domain.policy import Policy, Value, checked, path_of
from oms_es.engine.command_handler import handle
from oms_es.engine.decision_time import DecisionTime
from oms_es.engine.order_lookup import resolve_order
from oms_es.engine.venue_reports import decide_report
from oms_es.projections.state import State
from oms_es.timestamps import SECOND, instant
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod, OrderSide, OrderState, OrderType, Origin, TradingLevel

S = OrderState
BUY, SELL = OrderSide.BUY, OrderSide.SELL
METHODS = tuple(CostMethod)
ACCOUNT, ORDER, SYMBOL = "default", "o-1", "AAA"
NOON = instant("2024-03-05T12:00:00Z")
TODAY = "2024-03-05"
TABLES = Path(__file__).parent / "tables"


def num(value: str | int) -> Decimal:
    """Return the number."""
    return decimal(value)


# --- tables ---


def table(name: str) -> list[Any]:
    """Return the rows of tests/tables/<name>.txt as parameters: columns stand two spaces apart, `-` is nothing."""
    path = TABLES / f"{name}.txt"
    lines = [(n, line.strip()) for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)]
    (_, header), *rows = [(n, line) for n, line in lines if line and not line.startswith("#")]
    columns = re.split(r"\s{2,}", header)
    found = []
    for number, line in rows:
        cells = ["" if cell == "-" else cell for cell in re.split(r"\s{2,}", line)]
        assert len(cells) == len(columns), f"{path.name}:{number} has {len(cells)} cells for {len(columns)} columns"
        found.append(pytest.param(dict(zip(columns, cells, strict=True)), id=f"line {number}: {cells[0]}"))
    return found


# --- commands ---


def submit(quantity: str = "100", price: str | None = "10", side: OrderSide = BUY, **changes: Any) -> SubmitOrder:
    """Return an order, at market when `price` is None."""
    fields: dict[str, Any] = {
        "order_id": ORDER, "symbol": SYMBOL, "side": side,
        "order_type": OrderType.MARKET if price is None else OrderType.LIMIT, "quantity": num(quantity),
        "price": None if price is None else num(price),
    }  # fmt: skip
    return SubmitOrder(**(fields | changes))


def add_fill(quantity: str = "40", price: str = "10", trade: str | None = "t1", **changes: Any) -> AddFill:
    """Return a fill; `fee` as text."""
    changes["fee"] = num(changes.get("fee", "0"))
    fields: dict[str, Any] = {
        "order_id": ORDER, "fill_quantity": num(quantity), "fill_price": num(price), "trade_id": trade,
    }  # fmt: skip
    return AddFill(**(fields | changes))


def change_state(new: OrderState, **changes: Any) -> ChangeState:
    """Return what the venue says of the order."""
    return ChangeState(**({"order_id": ORDER, "new": new} | changes))


def amend(quantity: str | None = None, price: str | None = None, order_id: str = ORDER) -> AmendOrder:
    """Return an amendment."""
    return AmendOrder(
        order_id=order_id,
        quantity=None if quantity is None else num(quantity),
        price=None if price is None else num(price),
    )


def cancel(**changes: Any) -> CancelOrder:
    """Return a cancel."""
    return CancelOrder(**({"order_id": ORDER} | changes))


def limits(account: str = EVERY_ACCOUNT, **values: Value) -> SetLimits:
    """Return a change of limits, keys by their last part."""
    return SetLimits(account=account, values=limit_values(values))


def limit_values(named: Mapping[str, Value]) -> dict[str, Value]:
    """Return limits as the log keeps them."""
    return {path_of(name): checked(path_of(name), value) for name, value in named.items()}


def halt(level: TradingLevel = TradingLevel.HALTED, account: str = EVERY_ACCOUNT) -> SetLevel:
    """Return a pull of the emergency stop."""
    return SetLevel(account=account, level=level)


def mark(price: str, symbol: str = SYMBOL) -> RecordMark:
    """Return a mark."""
    return RecordMark(symbol=symbol, price=num(price))


# --- commands and events in words ---


def said(words: str, waiting: Sequence[str] = (), **order: str) -> OrderCommand:
    """
    Return the command that the words stand for; `accept 1` is about the first of `waiting`.

    It is about order o-1, unless `order` has another order_id or account.
    """
    verb, *rest = words.split()
    named: dict[str, Any] = dict(word.split("=") for word in rest if "=" in word)
    rest = [word for word in rest if "=" not in word]
    if "side" in named:
        named["side"] = OrderSide(named["side"])
    of: dict[str, Any] = {"order_id": ORDER, **order}
    quantity, price = _at(rest[-1] if verb == "correct" else rest[0]) if rest else (None, None)
    match verb:
        case "buy" | "sell":
            return submit(quantity or "", None if price == "market" else price, OrderSide(verb), **named, **of)
        case "ack" | "reject" | "fail" | "complete" | "report-cancelled":
            return change_state(_REPORTS[verb], external_order_id=rest[0] if rest else None, **of)
        case "link":
            return LinkOrder(external_order_id=rest[0], **of)
        case "cancel":
            return cancel(**of)
        case "amend":
            return replace(amend(quantity, price), **of)
        case "reduce":
            return ReduceOrder(quantity=num(rest[0]), **of)
        case "fill":
            return add_fill(quantity or "", price or "", rest[1] if len(rest) > 1 else None, **named, **of)
        case "accept" | "refuse":
            found = waiting[int(rest[0]) - 1] if rest[0].isdecimal() else rest[0]
            return ResolveQuarantined(quarantine_id=found, accept=verb == "accept", **named, **of)
        case _:
            return _said_restatement(verb, rest[0], (quantity, price, named.get("fee")), of)


def _said_restatement(verb: str, trade: str, new: Sequence[str | None], of: dict[str, Any]) -> OrderCommand:
    if verb == "bust":
        return BustFill(trade_id=trade, **of)
    assert verb == "correct", f"no command is called {verb!r}"
    quantity, price, fee = (None if each is None else num(each) for each in new)
    return CorrectFill(trade_id=trade, fill_quantity=quantity, fill_price=price, fee=fee, **of)


_REPORTS = {
    "ack": S.WORKING, "reject": S.REJECTED, "fail": S.FAILED, "complete": S.FILLED, "report-cancelled": S.CANCELLED,
}  # fmt: skip


def _at(words: str) -> tuple[str | None, str | None]:
    quantity, _, price = words.partition("@")
    return quantity or None, price or None


def told(events: Iterable[Event]) -> str:
    """Return events in words."""
    return "; ".join(_told(event) for event in events) or "nothing"


def _told(event: Event) -> str:
    return f"{_of_order(event)}{' ahead' if getattr(event, 'ahead', False) else ''}"


def _of_order(event: Event) -> str:
    match event:
        case OrderSubmitted():
            price = "market" if event.price is None else text(event.price)
            external = " external" if event.external else ""
            return f"{event.side.value} {text(event.quantity)}@{price}{external}"
        case StateChanged():
            return f"{event.old.value}>{event.new.value}"
        case FillAdded() | FillBusted() | FillCorrected():
            verb = {FillAdded: "fill", FillBusted: "busted", FillCorrected: "corrected"}[type(event)]
            flags = "".join(f" {flag}" for flag in ("late", "forced") if getattr(event, flag, False))
            return f"{verb} {text(event.fill_quantity)}@{text(event.fill_price)} {event.trade_id}{flags}"
        case OrderAmended():
            return f"amended {text(event.quantity)}@{'market' if event.price is None else text(event.price)}"
        case AmendRefused():
            return "amend refused"
        case FillQuarantined():
            return f"waits {text(event.fill_quantity)}@{text(event.fill_price)} {event.trade_id} {event.why.value}"
        case QuarantineResolved():
            return "accepted" if event.accepted else "refused"
        case _:
            return _of_others(event)


def _of_others(event: Event) -> str:
    match event:
        case ExternalIdAssigned():
            return f"id {event.external_order_id}"
        case OrdersMerged():
            return f"merged {event.merged}" if event.merged else f"merged into {event.into}"
        case MarkRecorded():
            return f"mark {text(event.price)}"
        case _:
            return type(event).__name__


# --- events ---


def submitted(quantity: str = "100", price: str | None = "10", side: OrderSide = BUY, **changes: Any) -> OrderSubmitted:
    """Return the event of an order placed."""
    fields: dict[str, Any] = {
        "account": ACCOUNT, "order_id": ORDER, "symbol": SYMBOL, "side": side, "quantity": num(quantity),
        "price": None if price is None else num(price),
        "order_type": OrderType.MARKET if price is None else OrderType.LIMIT,
    }  # fmt: skip
    return OrderSubmitted(**(fields | changes))


def moved(old: OrderState, new: OrderState, **changes: Any) -> StateChanged:
    """Return the event of a transition."""
    return StateChanged(**({"account": ACCOUNT, "order_id": ORDER, "old": old, "new": new} | changes))


def filled(quantity: str = "40", price: str = "10", trade: str | None = "t1", **changes: Any) -> FillAdded:
    """Return the event of a fill; `fee` as text."""
    changes["fee"] = num(changes.get("fee", "0"))
    fields: dict[str, Any] = {
        "account": ACCOUNT, "order_id": ORDER, "symbol": SYMBOL, "side": BUY, "fill_quantity": num(quantity),
        "fill_price": num(price), "trade_id": trade,
    }  # fmt: skip
    return FillAdded(**(fields | changes))


def marked(price: str, symbol: str = SYMBOL) -> MarkRecorded:
    """Return the event of a mark."""
    return MarkRecorded(symbol=symbol, price=num(price))


def defined(multiplier: str = "1", currency: str = "USD", symbol: str = SYMBOL) -> InstrumentDefined:
    """Return the definition of an instrument."""
    return InstrumentDefined(symbol=symbol, multiplier=num(multiplier), currency=currency)


# --- orders ---

# One history for each state: an order to buy 100 at 10.
IDLE = (submitted(),)
PENDING = (*IDLE, moved(S.IDLE, S.PENDING))
WORKING = (*PENDING, moved(S.PENDING, S.WORKING))
HISTORIES: dict[OrderState, tuple[Event, ...]] = {
    S.IDLE: IDLE, S.PENDING: PENDING, S.WORKING: WORKING,
    S.FILLED: (*WORKING, filled("100"), moved(S.WORKING, S.FILLED)),
    S.CANCELLED: (*WORKING, moved(S.WORKING, S.CANCELLED)), S.REJECTED: (*PENDING, moved(S.PENDING, S.REJECTED)),
    S.FAILED: (*PENDING, moved(S.PENDING, S.FAILED)),
}  # fmt: skip


def order_of(events: Iterable[Event], at: int = NOON) -> Order | None:
    """Return the order that its events make, a nanosecond apart; None of none."""
    order = None
    for seq, event in enumerate(events, start=1):
        order = evolve(order, event, at + seq, at + seq, seq)
    return order


def known_order(events: Iterable[Event]) -> Order:
    """Return the order that its events make."""
    order = order_of(events)
    assert order is not None
    return order


def outcome(given: Sequence[Event], when: OrderCommand, **around: Any) -> list[Event]:
    """Return what a command makes of the order of a history; `around` is what else is `DecisionContext`."""
    return decide(when, order_of(given), DecisionContext(**around))


# --- logs ---


def recorded(event: Event, seq: int = 1, at: int | None = None, **changes: Any) -> Recorded:
    """Return an event as the log holds it, one second per seq after noon when `at` is None."""
    when = NOON + seq * SECOND if at is None else at
    fields: dict[str, Any] = {
        "seq": seq, "originator_id": event.originator_id, "originator_version": 0, "event": event,
        "account": getattr(event, "account", ""), "origin": Origin.COMMAND, "occurred_at": when, "effective_at": when,
        "recorded_at": when, "trading_day": TODAY, "command_id": "",
    }  # fmt: skip
    return Recorded(**(fields | changes))


def log_of(events: Iterable[Event]) -> list[Recorded]:
    """Return events as a log, one second apart."""
    return [recorded(event, seq) for seq, event in enumerate(events, start=1)]


def world_of(events: Iterable[Event], method: CostMethod = CostMethod.FIFO) -> State:
    """Return the state after these events."""
    return State(method).replay(log_of(events))


class Desk:
    """A log in the making: every command is decided on what stands before it; the clock stands still till told."""

    def __init__(self, method: CostMethod = CostMethod.FIFO, **rules: Value) -> None:
        self.state = State(method)
        self.log: list[Recorded] = []
        self.now = NOON
        self.asked: Command | None = None  # the last command, with the account and the order id that it meant
        if rules:
            self.perform(SetLimits(account=EVERY_ACCOUNT, values=limit_values(rules)))

    def perform(self, command: Command, **request: Any) -> list[Event]:
        """Return the events of the command; they are in the log."""
        drafts = self.decide(Request(command=command, **request))
        return [each.event for each in self.append(drafts)]

    def decide(self, request: Request) -> list[Draft]:
        """Return what the request would give; nothing is in the log yet."""
        if isinstance(request.command, ApplyReport):
            return decide_report(self.state, request, self.decide)[0]
        self.asked = resolve_order(self.state, request)
        return handle(self.state, request, self.asked, DecisionTime.of(self.now, self.state, Policy()))

    def say(self, *commands: str, **request: Any) -> list[Event]:
        """Return the events of the last of the commands, given in words."""
        events: list[Event] = []
        for words in commands:
            events = self.perform(said(words, self.waiting()), **request)
        return events

    def append(self, drafts: Iterable[Draft]) -> list[Recorded]:
        """Put drafts into the log."""
        added = [draft.recorded_as(len(self.log) + number) for number, draft in enumerate(drafts, start=1)]
        self.log += added
        self.state.replay(added)
        return added

    def tell(self, *events: Event) -> None:
        """Put events into the log that nobody decided here."""
        for event in events:
            self.append([draft_of(event, self.now)])

    def waiting(self) -> list[str]:
        """Return the ids in quarantine, oldest first."""
        return [each.fill.quarantine_id for each in self.state.orders.all_waiting()]

    def order(self, order_id: str = ORDER, account: str = ACCOUNT) -> Order:
        """Return an order that is there."""
        return self.state.orders.orders[account, order_id]


def draft_of(event: Event, at: int = NOON) -> Draft:
    """Return an event as a draft."""
    return Draft(
        event=event, origin=Origin.COMMAND, occurred_at=at, effective_at=at, recorded_at=at, trading_day=TODAY,
        command_id="",
    )  # fmt: skip


def policy_changed(account: str = EVERY_ACCOUNT, **values: Value) -> PolicyChanged:
    """Return the event of a change of limits."""
    return PolicyChanged(account=account, values=limit_values(values))
