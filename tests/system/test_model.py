"""The whole API on a real file against a small model written from the design (`tests/model.py`), step by step."""

import asyncio
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from oms_es import OMSOrder, OrderManagementSystem, Settings
from oms_es.audit.redecide import by_command, redecide
from oms_es.errors import FillQuarantinedError, OmsError, OrderRejected
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.state import State
from tests.desk import START, codes, order_of
from tests.model import NOTHING, NS, Model, Order, Outcome

LIMITS: dict[str, str | None] = {
    "max_position_size": "300", "max_daily_loss": "400", "max_open_orders": "4", "max_order_quantity": "250",
    "max_order_notional": "3000", "price_collar": "0.3", "max_orders_per_second": "6", "min_quote_size": "10",
    "max_skew": "200", "price_band": "0.5", "max_clock_step": "5",
}  # fmt: skip
SECTIONS = {"min_quote_size": "trading", "max_skew": "trading", "price_band": "fills", "max_clock_step": "day"}
CHANGES: list[dict[str, str | None]] = [
    {"max_position_size": "100"}, {"max_position_size": None}, {"max_daily_loss": "1"}, {"max_daily_loss": None},
    {"max_open_orders": "1"}, {"max_open_orders": "20", "max_orders_per_second": None},
    {"max_orders_per_second": "1"}, {"max_skew": "40"}, {"price_band": None, "price_collar": None},
    {"max_order_notional": None, "max_order_quantity": "100"}, {"min_quote_size": None},
]  # fmt: skip
MOVES = [0.25, 1, 3, 3600, 86_400, 90_000, -1, -6, -90]
REMEMBERED = (
    "update_order_state",
    "link_order",
    "cancel_order",
    "bust_fill",
    "correct_fill",
)  # have no id of their own
LONG = 10**9  # seconds

desks = st.sampled_from([0, 0, 1])
accounts = st.sampled_from([None, None, None, None, "default", "b"])
scopes = st.sampled_from([None, None, "default", "b"])
symbols = st.sampled_from(["AAA", "AAA", "AAA", "BBB"])
sides = st.sampled_from(["buy", "sell"])
quantities = st.sampled_from(["100", "50", "20", "10", "150", "260", "5", "0.5"])
prices = st.sampled_from(["10", "10", "10", "11", "9", "12.5", "20", "4", "-3"])
fees = st.sampled_from(["0", "0", "0", "1.25", "-0.5", "90"])
trades = st.sampled_from(["t1", "t2", "t3", "t4", "t5"])
tagged = st.sampled_from([False, False, True])
places = st.integers(0, 11)
venue_ids = st.sampled_from(["w-1", "w-2", "w-3", "w-4"])


LOOSE: dict[str, str | None] = {
    "max_position_size": "3000", "max_daily_loss": None, "max_open_orders": "20", "max_order_quantity": None,
    "max_order_notional": None, "max_orders_per_second": None, "max_skew": None,
}  # fmt: skip


def rules_of(limits: dict[str, str | None], on_exception: str, retention: int) -> Settings:
    sections: dict[str, dict[str, Any]] = {"fills": {"on_exception": on_exception}}
    sections["system"] = {"order_history_retention": str(retention), "risk_check_timeout": "60000"}
    for name, value in limits.items():
        sections.setdefault(SECTIONS.get(name, "risk"), {})[name] = value
    return Settings.from_mapping(sections)


class Trading(RuleBasedStateMachine):
    """Two desks on one log, and the model; every rule does the same to a desk and to the model."""

    runs = commands = 0  # of all examples

    @initialize(
        on_exception=st.sampled_from(["quarantine", "quarantine", "accept"]),
        retention=st.sampled_from([86_400, LONG]), loose=st.booleans(), busy=st.booleans(),
    )  # fmt: skip
    def begin(self, on_exception: str, retention: int, loose: bool, busy: bool) -> None:
        Trading.runs += 1
        self.folder = tempfile.TemporaryDirectory(prefix="oms-model-")
        self.path = Path(self.folder.name) / "day.db"
        limits = {**LIMITS, **LOOSE} if loose else LIMITS
        self.settings = rules_of(limits, on_exception, retention)
        self.keeps_all = retention == LONG
        self.model = Model({**limits, "on_exception": on_exception}, START)
        self.runner = asyncio.Runner()
        self.desks = [self.opened(), self.opened()]
        self.quarantine: list[str] = []  # ids, in the order of the model's list
        self.done: list[tuple[str, dict[str, Any], Outcome]] = []  # what was recorded under a command id
        if busy:  # a market, and orders at work
            for symbol in ("AAA", "BBB"):
                self.perform(0, False, "record_mark", symbol=symbol, price="10")
            for place, side in enumerate(("buy", "sell", "buy"), start=1):
                self.submit(0, False, place, False, "10", symbol="AAA", side=side, quantity="50")
                self.acknowledge(0, place - 1, None, f"v-{place}")

    def opened(self) -> OrderManagementSystem:
        return OrderManagementSystem(self.settings, log=SqliteLog(self.path), clock=lambda: self.model.now)

    # --- one step ---

    def perform(self, desk: int, tag: bool, name: str, **asked: Any) -> None:
        """Ask a desk and the model the same thing."""
        mine = dict(asked)
        if name == "resolve_quarantined":
            place = asked["quarantine_id"]
            asked["quarantine_id"] = self.quarantine[place] if place < len(self.quarantine) else "q-none"
        expected = getattr(self.model, name)(**mine)
        if tag:
            asked["command_id"] = f"c-{len(self.done)}-{self.seq}"
            if expected == NOTHING and name in REMEMBERED:
                expected, self.model.head = Outcome(), self.model.moment
        Trading.commands += 1
        self.heard(desk, name, asked, expected)
        if tag and expected.wrote:
            self.done.append((name, asked, expected))

    def heard(self, desk: int, name: str, asked: dict[str, Any], expected: Outcome) -> None:
        """Ask a desk and compare what it answers, and whether it wrote, with what is expected."""
        before, kind, why = self.seq, "ok", frozenset[str]()
        try:
            self.runner.run(getattr(self.desks[desk], name)(**asked))
        except OrderRejected as error:
            kind, why = "OrderRejected", frozenset(codes(error.violations))
        except FillQuarantinedError as error:
            kind, why = "FillQuarantinedError", frozenset({error.reason})
            if self.seq > before:
                self.quarantine.append(error.quarantine_id)
        except OmsError as error:
            kind = type(error).__name__
        if kind == "FillQuarantinedError" and not expected.why:
            why = frozenset()  # a repetition of a fill that waits
        found = Outcome(kind, why, self.seq > before)
        assert found == expected, f"{name} {asked}: {found}, not {expected}"

    @property
    def seq(self) -> int:
        return self.desks[0].log.head().seq

    def order_at(self, place: int) -> Order | None:
        """Return an order; most often one that something can still happen to."""
        everything = [order for order in self.model.orders.values() if order.merged_into is None]
        at_work = [order for order in everything if order.is_open]
        found = at_work if at_work and place < 9 else everything
        return found[place % len(found)] if found else None

    def name_at(self, place: int, *, venue: bool = False) -> str:
        """Return an order's id, or the venue's, or one that nobody knows."""
        order = self.order_at(place)
        if order is None or place == 11:
            return "v-1" if venue else "x-1"
        return min(order.names) if venue and order.names else order.order_id

    # --- orders ---

    @rule(
        desk=desks, tag=tagged, place=st.integers(1, 9), symbol=symbols, side=sides,
        market=st.sampled_from([False, False, True]), quantity=quantities, price=prices, account=accounts,
        reduce_only=st.sampled_from([False, False, False, True]),
    )  # fmt: skip
    def submit(self, desk: int, tag: bool, place: int, market: bool, price: str, **asked: Any) -> None:
        kind, at = ("market", None) if market else ("limit", price)
        order_id = {8: "x-1", 9: "v-1"}.get(place, f"o-{place}")  # ids that others use collide with ours
        self.perform(desk, tag, "submit_order", order_id=order_id, order_type=kind, price=at, **asked)
        self.limit_holds(desk, (asked.get("account") or "default", order_id))

    def limit_holds(self, desk: int, key: tuple[str, str]) -> None:
        """Whatever was let through last, without reducing, leaves position and open orders within the limit."""
        order, oms = self.model.orders.get(key), self.desks[desk]
        if order is None or self.model.let_through != key:
            return
        most = self.model.limit("max_position_size", order.account)
        position = oms.get_position(order.symbol, account=order.account)
        held = Fraction(0) if position is None else Fraction(position.quantity)
        own = [each for each in oms.get_open_orders(order.symbol, account=order.account) if each.side == order.side]
        worst = abs(held + order.sign * sum((Fraction(each.open_quantity) for each in own), Fraction(0)))
        assert most is None or worst <= most, f"{key} leaves {worst} beyond {most}"

    @rule(desk=desks, place=places, fill=st.booleans())
    @precondition(lambda self: self.model.trails)
    def close_out(self, desk: int, place: int, fill: bool) -> None:
        """Close a position with a fresh order, as somebody who wants out; it must pass size, skew and loss."""
        account, symbol = list(self.model.trails)[place % len(self.model.trails)]
        held = self.model.held(account, symbol).quantity
        side = "sell" if held > 0 else "buy"
        if not self.model.reduces(account, symbol, side, abs(held)):
            return
        order_id = f"close-{self.seq}"
        asked = {"symbol": symbol, "side": side, "order_type": "market", "quantity": text(held), "price": None}
        self.perform(desk, False, "submit_order", order_id=order_id, account=account, **asked)
        assert not self.model.orders[(account, order_id)].codes & {"POSITION_SIZE", "POSITION_SKEW", "DAILY_LOSS"}
        if fill:
            asked = {"fill_quantity": text(held), "fill_price": "10", "trade_id": "t1"}
            self.perform(desk, False, "add_fill", order_id=order_id, account=account, **asked)

    @rule(desk=desks, place=places, account=accounts, venue_id=st.sampled_from(["v-1", "v-2", "v-3", None]) | venue_ids)
    def acknowledge(self, desk: int, place: int, account: str | None, venue_id: str | None) -> None:
        order_id = self.name_at(place)
        self.perform(
            desk, False, "update_order_state", order_id=order_id, new_state="working", account=account,
            external_order_id=venue_id,
        )  # fmt: skip

    @rule(
        desk=desks, tag=tagged, place=places, account=accounts,
        external_order_id=venue_ids | st.sampled_from(["v-1", "x-1"]),
    )  # fmt: skip
    def link(self, desk: int, tag: bool, place: int, **asked: Any) -> None:
        self.perform(desk, tag, "link_order", order_id=self.name_at(place), **asked)

    @rule(
        desk=desks,
        tag=tagged,
        place=places,
        venue=st.booleans(),
        new_state=st.sampled_from(["rejected", "failed", "filled", "cancelled", "working"]),
        account=accounts,
        external_order_id=st.sampled_from([None, None, "v-1", "v-2", "x-2"]) | venue_ids,
    )
    def report(self, desk: int, tag: bool, place: int, venue: bool, **asked: Any) -> None:
        self.perform(desk, tag, "update_order_state", order_id=self.name_at(place, venue=venue), **asked)

    @rule(desk=desks, tag=tagged, place=places, venue=st.booleans(), account=accounts)
    def cancel(self, desk: int, tag: bool, place: int, venue: bool, account: str | None) -> None:
        self.perform(desk, tag, "cancel_order", order_id=self.name_at(place, venue=venue), account=account)

    @rule(
        desk=desks, tag=tagged, place=places, quantity=st.sampled_from(["120", "200", "30", "0", "300", None]),
        price=st.sampled_from([None, None, "10.5", "11", "30"]), account=accounts,
    )  # fmt: skip
    def amend(self, desk: int, tag: bool, place: int, **asked: Any) -> None:
        if asked["quantity"] is not None or asked["price"] is not None:
            self.perform(desk, tag, "amend_order", order_id=self.name_at(place), **asked)

    # --- fills ---

    @rule(
        desk=desks, tag=tagged, place=places, venue=st.booleans(),
        part=st.sampled_from(["all", "half", "100", "20", "10"]), fill_price=prices, trade_id=st.none() | trades,
        fee=fees, account=accounts,
    )  # fmt: skip
    def fill(self, desk: int, tag: bool, place: int, venue: bool, part: str, **asked: Any) -> None:
        order = self.order_at(place)
        left = order.open if order is not None else Fraction(0)
        if part in ("all", "half"):
            part = text(left if part == "all" else left / 2) if left else "10"
        self.perform(desk, tag, "add_fill", order_id=self.name_at(place, venue=venue), fill_quantity=part, **asked)

    @rule(
        desk=desks, tag=tagged, order_id=st.sampled_from(["x-1", "x-2", "v-1", "v-2", "o-1"]),
        fill_quantity=quantities, fill_price=prices, trade_id=trades, symbol=st.none() | symbols,
        side=st.none() | sides, account=accounts,
    )  # fmt: skip
    def fill_foreign(self, desk: int, tag: bool, **asked: Any) -> None:
        self.perform(desk, tag, "add_fill", **asked)

    @rule(
        desk=desks, place=places, fill_quantity=st.sampled_from(["20", "10", "5", "100"]),
        trade_id=st.none() | trades, fee=fees, named=st.sampled_from([True, True, False]), venue_id=venue_ids,
    )  # fmt: skip
    def overtake(self, desk: int, place: int, named: bool, venue_id: str, **asked: Any) -> None:
        """A fill of an order comes under a venue's id that nobody knows yet."""
        order = self.order_at(place)
        if order is not None:
            price = text(order.price) if order.price is not None and order.price > 0 else "10"
            asked |= {"symbol": order.symbol, "side": order.side} if named else {}
            self.perform(desk, False, "add_fill", order_id=venue_id, fill_price=price, account=order.account, **asked)

    @rule(desk=desks, tag=tagged, place=places, trade_id=trades, account=accounts)
    def bust(self, desk: int, tag: bool, place: int, **asked: Any) -> None:
        self.restate(desk, tag, "bust_fill", order_id=self.name_at(place), **asked)

    def restate(self, desk: int, tag: bool, name: str, **asked: Any) -> None:
        """Bust or correct a fill that was reported; the model knows none that comes before its fill."""
        if self.model.is_reported(asked["order_id"], asked["account"], asked["trade_id"]):
            self.perform(desk, tag, name, **asked)

    @rule(
        desk=desks, tag=tagged, place=places, trade_id=trades, fill_quantity=st.none() | quantities,
        fill_price=st.none() | prices, fee=st.none() | fees, account=accounts,
    )  # fmt: skip
    def correct(self, desk: int, tag: bool, place: int, **asked: Any) -> None:
        if any(asked[name] is not None for name in ("fill_quantity", "fill_price", "fee")):
            self.restate(desk, tag, "correct_fill", order_id=self.name_at(place), **asked)

    @rule(
        desk=desks, tag=tagged, place=st.integers(0, 5), accept=st.booleans(), symbol=st.none() | symbols,
        side=st.none() | sides,
    )  # fmt: skip
    @precondition(lambda self: self.model.waiting)
    def resolve(self, desk: int, tag: bool, place: int, **asked: Any) -> None:
        last = len(self.model.waiting) - 1  # the newest first: what waited once and was decided is rarely asked again
        self.perform(desk, tag, "resolve_quarantined", quarantine_id=max(0, last - place), **asked)

    # --- the market, the rules, the clock, the process ---

    @rule(desk=desks, symbol=symbols, price=prices)
    def mark(self, desk: int, symbol: str, price: str) -> None:
        self.perform(desk, False, "record_mark", symbol=symbol, price=price)

    @rule(desk=desks, account=scopes, level=st.sampled_from(["halted", "reduce_only", None, None, None]))
    def stop(self, desk: int, account: str | None, level: str | None) -> None:
        if level is None:
            self.perform(desk, False, "resume", account=account)
        else:
            self.perform(desk, False, "halt", account=account, level=level)

    @rule(desk=desks, account=scopes, changes=st.sampled_from(CHANGES))
    def limit(self, desk: int, account: str | None, changes: dict[str, str | None]) -> None:
        self.perform(desk, False, "set_limits", account=account, **changes)

    @rule(seconds=st.sampled_from(MOVES))
    def wait(self, seconds: float) -> None:
        self.model.now += int(seconds * NS)

    @rule(desk=desks, orderly=st.booleans())
    def restart(self, desk: int, orderly: bool) -> None:
        if orderly:
            self.runner.run(self.desks[desk].close())
        else:
            self.desks[desk].sequencer.close()
        self.desks[desk] = self.opened()

    @rule(desk=desks, place=places)
    @precondition(lambda self: self.done)
    def again(self, desk: int, place: int) -> None:
        """Send a command again: the first outcome, and nothing new in the log."""
        name, asked, first = self.done[place % len(self.done)]
        self.heard(desk, name, asked, first._replace(wrote=False))

    @rule(desk=desks, place=places)
    @precondition(lambda self: self.done)
    def reuse(self, desk: int, place: int) -> None:
        """Send something else under a command id that was used."""
        _, asked, _ = self.done[place % len(self.done)]
        mark = {"symbol": "ZZZ", "price": "1", "command_id": asked["command_id"]}
        self.heard(desk, "record_mark", mark, Outcome("CommandConflict", wrote=False))

    # --- what holds after every step ---

    @invariant()
    def every_order_is_as_the_model_has_it(self) -> None:
        for oms in self.desks:
            assert {(o.account, o.order_id) for o in oms.get_open_orders()} == {
                key for key, order in self.model.orders.items() if order.is_open
            }
            # Asking for an order brings it back to memory: what has left is asked for now and then only.
            memory = oms.sequencer.state.orders.orders
            for number, (key, order) in enumerate(self.model.orders.items()):
                if order.merged_into is not None:
                    continue
                if key in memory or number == self.seq % 40:
                    found = order_of(oms, key[1], account=key[0])
                    assert shown(found) == wanted(order), f"{key}: {shown(found)}, not {wanted(order)}"
        if self.keeps_all:
            kept = sum(order.merged_into is None for order in self.model.orders.values())
            assert len(self.desks[0].get_all_orders()) == kept

    @invariant()
    def every_position_is_the_sum_of_its_fills(self) -> None:
        for oms in self.desks:
            found = {(p.account, p.symbol): p for p in oms.get_all_positions()}
            assert set(found) == set(self.model.trails)
            for key, row in found.items():
                held = self.model.held(*key)
                figures = (row.quantity, row.cost_basis, row.gross_realized_pnl, row.fees)
                assert tuple(map(Fraction, figures)) == held, key
                mine = [o for o in self.model.orders.values() if (o.account, o.symbol) == key]
                assert held.quantity == sum(order.sign * order.filled for order in mine)
                assert held.gross - held.cost == -sum(each.quantity * each.price for each in self.model.trails[key])
            today = sum(self.model.days[(self.model.today, account)] for account in ("default", "b"))
            assert oms.risk_manager.daily_pnl == today

    @invariant()
    def filled_and_open_and_given_up_make_up_the_quantity(self) -> None:
        for order in self.desks[0].get_all_orders():
            given_up = order.remaining_quantity if order.is_complete or order.external else 0
            assert order.filled_quantity + order.open_quantity + given_up == order.quantity
            trades = [fill["trade_id"] for fill in order.fills]
            assert sum(fill["quantity"] for fill in order.fills) == order.filled_quantity, trades

    @invariant()
    def live_is_replayed(self) -> None:
        state = State().replay(self.desks[0].log.read())
        if self.keeps_all:
            assert [oms.sequencer.state.digest() for oms in self.desks] == [state.digest()] * 2
        else:
            assert [oms.sequencer.state.positions.digest() for oms in self.desks] == [state.positions.digest()] * 2

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            state = State()
            for group in by_command(self.desks[0].log.read()):
                divergence = redecide(state, group)
                assert divergence is None, divergence
                state.replay(group)
        finally:
            for oms in self.desks:
                self.runner.run(oms.close())
            self.runner.close()
            self.folder.cleanup()


def text(value: Fraction) -> str:
    """Return a quantity as decimal text; all of ours have few decimals."""
    whole = abs(value) * 10**6
    assert whole.denominator == 1
    return f"{whole.numerator // 10**6}.{whole.numerator % 10**6:06d}"


def wanted(order: Order) -> dict[str, Any]:
    return {
        "state": order.state, "quantity": order.quantity, "price": order.price, "filled": order.filled,
        "open": order.open, "fees": sum((fill.fee for fill in order.fills), Fraction(0)),
        "fills": [fill.content for fill in order.fills], "codes": order.codes, "external": order.external,
    }  # fmt: skip


def shown(order: OMSOrder) -> dict[str, Any]:
    numbers: Callable[[Any], Fraction] = Fraction
    return {
        "state": order.state.value,
        "quantity": Fraction(order.quantity),
        "price": None if order.price is None else Fraction(order.price),
        "filled": Fraction(order.filled_quantity),
        "open": Fraction(order.open_quantity),
        "fees": Fraction(order.fees),
        "fills": [(f["trade_id"], *map(numbers, (f["quantity"], f["price"], f["fee"]))) for f in order.fills],
        "codes": frozenset(codes(order.violations)),
        "external": order.external,
    }


def drive(examples: int, steps: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=checks, deadline=None)
    run_state_machine_as_test(Trading, settings=chosen)


def test_the_api_does_what_the_model_does() -> None:
    drive(examples=40, steps=40)


@pytest.mark.torture
def test_the_api_does_what_the_model_does_for_hours() -> None:
    drive(examples=max(1_000, settings().max_examples), steps=100)

    print(f"\n{Trading.commands:,} commands in {Trading.runs:,} runs: all as the model has it", file=sys.stderr)
