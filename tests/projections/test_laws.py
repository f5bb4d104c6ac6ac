"""What holds on any day at all: nothing is lost, nothing is counted twice, and it does not matter how a log is read."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from oms_es.audit.redecide import by_command
from oms_es.audit.what_if import what_if
from oms_es.decimals import ONE, minus, times
from oms_es.domain.accounting import Lots
from oms_es.domain.command_of import command_of
from oms_es.domain.commands import ApplyReport, Request
from oms_es.domain.envelope import Draft, Recorded
from oms_es.domain.events import (
    Event,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    QuarantineResolved,
    StateChanged,
)
from oms_es.domain.order import Order
from oms_es.domain.policy import Policy
from oms_es.engine.command_handler import handle
from oms_es.engine.decision_time import DecisionTime
from oms_es.engine.order_lookup import resolve_order
from oms_es.errors import OmsError
from oms_es.log.memory import MemoryLog
from oms_es.projections.as_of import positions_as_of
from oms_es.projections.positions import Positions
from oms_es.projections.state import State
from oms_es.vocabulary import TRANSITIONS, CostMethod, OrderSide, OrderState, QuarantineReason
from tests.builders import METHODS, Desk, S
from tests.random_days import Step, days, play, played

Key = tuple[str, str]
methods = st.sampled_from(METHODS)


class Book:
    """
    What every fill that stands comes to, worked out from the events alone and in fractions.

    Shares nothing with the product: a fill is known by its order and its place among the fills of its trade id.
    """

    def __init__(self) -> None:
        self.standing: dict[tuple[str, str, str | None], list[FillAdded | FillCorrected]] = defaultdict(list)

    def take(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, FillAdded | FillBusted | FillCorrected):
            fills = self.standing[event.account, event.order_id, event.trade_id]
            if not isinstance(event, FillAdded):
                fills.pop()
            if not isinstance(event, FillBusted):
                fills.append(event)

    def fills(self) -> Iterable[FillAdded | FillCorrected]:
        """Return every fill as it stands now."""
        return (fill for fills in self.standing.values() for fill in fills)

    def of(self, account: str, symbol: str) -> tuple[Fraction, Fraction, Fraction]:
        """Return the quantity held, the cash that came in (fees apart), and the fees."""
        quantity = cash = fees = Fraction(0)
        for fill in self.fills():
            if (fill.account, fill.symbol) == (account, symbol):
                signed = Fraction(fill.fill_quantity) * (1 if fill.side is OrderSide.BUY else -1)
                quantity += signed
                quantity -= Fraction(fill.fee) if fill.fee_in_base else 0
                cash -= signed * Fraction(fill.fill_price) * Fraction(fill.multiplier)
                fees += own_fee(fill)
        return quantity, cash, fees


def own_fee(fill: FillAdded | FillCorrected) -> Fraction:
    """Return the fee in the currency of the instrument."""
    is_own = fill.fee_currency in ("", "USD") and not fill.fee_in_base  # every instrument is in USD here
    return Fraction(fill.fee) if is_own else Fraction(0)


def one_sided(lots: Lots) -> bool:
    return len({each.quantity > 0 for each in lots}) <= 1 and all(each.quantity for each in lots)


# --- orders ---

FEWER = settings(max_examples=settings().max_examples // 2)


@given(days)
@FEWER
def test_what_was_decided_can_always_be_carried_out_and_read_again(steps: list[Step]) -> None:
    desk = played(steps)  # a damaged log would raise

    again = State().replay(desk.log)

    assert again.digest() == desk.state.digest()
    assert again.seq == len(desk.log)


@given(days)
@FEWER
def test_filled_and_open_quantities_are_those_of_the_fills_that_stand(steps: list[Step]) -> None:
    desk, book = Desk(), Book()
    for step in steps:
        for each in play(desk, step):
            book.take(each.event)
        for (account, order_id), order in desk.state.orders.orders.items():
            fills = [f for f in book.fills() if (f.account, f.order_id) == (account, order_id)]
            agrees(order, fills)


def agrees(order: Order, fills: list[FillAdded | FillCorrected]) -> None:
    filled = sum((Fraction(fill.fill_quantity) for fill in fills), Fraction(0))
    cost = sum((Fraction(fill.fill_quantity) * Fraction(fill.fill_price) for fill in fills), Fraction(0))
    assert Fraction(order.filled_quantity) == filled
    assert Fraction(order.filled_cost) == cost
    assert Fraction(order.fees) == sum(map(own_fee, fills), Fraction(0))
    assert sum(not fill.busted for fill in order.fills) == len(fills)
    assert order.avg_fill_price == (Decimal(0) if not filled else rounded(cost / filled))
    works = order.state.is_open and not order.is_external
    assert Fraction(order.open_quantity) == (max(Fraction(0), Fraction(order.quantity) - filled) if works else 0)
    if order.is_external:
        assert order.quantity == order.filled_quantity
    else:
        assert order.state is not S.WORKING or filled < order.quantity
        assert order.state is not S.FILLED or filled >= order.quantity
        assert order.state is not S.PENDING or not filled


def rounded(exact: Fraction) -> Decimal:
    return Decimal(f"{round(exact * 10**18)}E-18")


@given(days)
@FEWER
def test_an_order_moves_by_the_spec_and_the_few_ways_added_on_purpose(steps: list[Step]) -> None:
    log = played(steps).log
    states: dict[Key, OrderState] = defaultdict(lambda: S.IDLE)
    for each in log:
        event = each.event
        if isinstance(event, StateChanged):
            key = (event.account, event.order_id)
            assert event.old is states[key]
            extra = {S.PENDING: (S.CANCELLED,), S.FILLED: (S.WORKING,)}.get(event.old, ())
            assert event.new in (*TRANSITIONS[event.old], *extra)
            states[key] = event.new


@given(days)
@FEWER
def test_no_fill_is_lost_or_counted_twice(steps: list[Step]) -> None:
    log = played(steps).log
    contents: dict[tuple[str, str, str], set[tuple[Decimal, Decimal, Decimal]]] = defaultdict(set)
    decided: dict[str, bool] = {}
    accepted, early = set[str](), set[str]()
    for each in log:
        event = each.event
        if isinstance(event, QuarantineResolved):
            assert event.quarantine_id not in decided
            decided[event.quarantine_id] = event.accepted
        elif isinstance(event, FillAdded | FillCorrected) and event.quarantine_id is not None:
            assert decided[event.quarantine_id]
            accepted.add(event.quarantine_id)
        elif isinstance(event, FillQuarantined) and event.why is QuarantineReason.UNKNOWN_FILL:
            early.add(event.quarantine_id)  # accepted when its fill comes, even if it then changes nothing
        elif isinstance(event, FillQuarantined) and event.correction:
            continue  # the fill itself was reported before
        elif isinstance(event, FillAdded | FillQuarantined) and event.trade_id is not None:
            told = (event.fill_quantity, event.fill_price, event.fee)
            key = (event.account, event.order_id, event.trade_id)
            assert told not in contents[key]
            assert not contents[key] or isinstance(event, FillQuarantined)
            contents[key].add(told)
    assert accepted - early == {quarantine_id for quarantine_id, yes in decided.items() if yes} - early


@given(days)
@FEWER
def test_open_quantities_and_exposure_are_the_sums_over_the_orders(steps: list[Step]) -> None:
    desk = played(steps)
    orders = desk.state.orders

    for account in ("default", "b"):
        own = [order for (name, _), order in orders.orders.items() if name == account]
        assert (orders.open_count.get(account) or 0) == sum(order.is_open for order in own)
        is_open = [order for order in orders.sorted() if order.account == account and order.is_open]
        assert [order for order in orders.sorted_open() if order.account == account] == is_open
        for symbol in ("AAA", "BBB"):
            expected = {OrderSide.BUY: Fraction(0), OrderSide.SELL: Fraction(0)}
            for order in own:
                if order.symbol == symbol:
                    expected[order.side] += Fraction(order.open_quantity)
            sides = orders.open_sides.get((account, symbol))
            found = [Fraction(0), Fraction(0)] if sides is None else [Fraction(sides.buys), Fraction(sides.sells)]
            assert found == [expected[OrderSide.BUY], expected[OrderSide.SELL]]
            if not any(each.fill.account == account for each in orders.all_waiting()):
                exposed = orders.exposed(account, symbol)
                assert [Fraction(exposed.buys), Fraction(exposed.sells)] == found


# --- money ---


@given(days)
@settings(max_examples=40)
def test_at_every_event_gross_less_cost_basis_is_the_cash_that_came_in_for_every_method(steps: list[Step]) -> None:
    log = played(steps).log
    books = [Positions(method) for method in METHODS]
    book = Book()
    for each in log:
        book.take(each.event)
        for positions in books:
            positions.replay([each])
        if not isinstance(each.event, FillAdded | FillBusted | FillCorrected):
            continue
        key = (each.event.account, each.event.symbol)
        quantity, cash, fees = book.of(*key)
        for positions in books:
            held = positions.held[(*key, "USD")]
            assert Fraction(minus(held.gross, held.cost_basis)) == cash
            assert Fraction(held.quantity) == quantity
            assert Fraction(held.fees) == fees
            assert one_sided(held.lots)
            assert held.realized == minus(held.gross, held.fees)


@given(days, methods)
@FEWER
def test_the_days_add_up_to_the_whole(steps: list[Step], method: CostMethod) -> None:
    positions = Positions(method).replay(played(steps).log)

    for book, held in positions.held.items():
        own = [day for (_, *key), day in positions.days.items() if tuple(key) == book]
        assert sum((Fraction(day.gross) for day in own), Fraction(0)) == Fraction(held.gross)
        assert sum((Fraction(day.fees) for day in own), Fraction(0)) == Fraction(held.fees)


@given(days, methods)
@FEWER
def test_unrealized_pnl_is_what_closing_at_the_last_mark_would_realize(steps: list[Step], method: CostMethod) -> None:
    positions = Positions(method).replay(played(steps).log)

    for row in positions.rows():
        mark, held = row["mark_price"], positions.held[row["account"], row["symbol"], row["currency"]]
        if mark is None:
            assert row["unrealized_pnl"] is None
        else:
            worth = Fraction(times(held.quantity, mark)) * Fraction(held.multiplier if held.quantity else ONE)
            assert Fraction(row["unrealized_pnl"]) == worth - Fraction(held.cost_basis)


@given(days, methods)
@FEWER
def test_as_of_the_end_the_same_is_held_and_the_same_cash_has_come_in(steps: list[Step], method: CostMethod) -> None:
    desk = played(steps, method)

    then = positions_as_of(desk.log, 2**63 - 1, method)

    now = desk.state.positions
    for key, held in now.held.items():
        other = then.held.get(key)
        if other is None:  # every fill was taken back
            assert not any((held.quantity, held.gross, held.fees))
            continue
        assert other.quantity == held.quantity
        assert minus(other.gross, other.cost_basis) == minus(held.gross, held.cost_basis)
        assert other.fees == held.fees


@given(days, methods)
@FEWER
def test_both_views_agree_where_nothing_came_late_and_nothing_was_taken_back(
    steps: list[Step], method: CostMethod
) -> None:
    log = [each for each in played(steps, method).log if not isinstance(each.event, FillBusted | FillCorrected)]
    in_time: list[Recorded] = []
    for each in log:
        if not in_time or each.effective_at >= in_time[-1].effective_at:
            in_time.append(each)

    assert positions_as_of(in_time, 2**63 - 1, method).digest() == Positions(method).replay(in_time).digest()


# --- reading a log ---


@given(days, st.integers(0, 60), methods)
@FEWER
def test_a_log_read_in_two_parts_is_the_log_read_in_one(steps: list[Step], place: int, method: CostMethod) -> None:
    log = played(steps).log

    whole = State(method).replay(log)
    parts = State(method).replay(log[:place]).replay(log[place:])

    assert parts.digest() == whole.digest()


@given(days, st.integers(0, 60), methods)
@FEWER
def test_a_rollback_of_pending_changes_leaves_no_trace(steps: list[Step], place: int, method: CostMethod) -> None:
    log = played(steps).log
    state = State(method).replay(log[:place])
    before = (state.digest(), state.seq, state.recorded_at)
    for each in log[place:]:
        state.apply(each)

    state.rollback()

    assert (state.digest(), state.seq, state.recorded_at) == before
    assert state.replay(log[place:]).digest() == State(method).replay(log).digest()


@given(days, st.integers(0, 60), methods)
@FEWER
def test_pending_changes_are_seen_by_the_next_decision_and_by_no_reader(
    steps: list[Step], place: int, method: CostMethod
) -> None:
    log = played(steps).log
    state = State(method).replay(log[:place])
    before, whole = state.digest(), State(method).replay(log)
    for each in log[place:]:
        state.apply(each)

    with state.durable():
        assert state.digest() == before
    for account in ("default", "b"):
        for symbol in ("AAA", "BBB"):
            asked = (account, symbol, log[-1].trading_day if log else "", whole.recorded_at)
            with state.durable():
                assert state.exposure(*asked) == State(method).replay(log[:place]).exposure(*asked)
            assert state.exposure(*asked) == whole.exposure(*asked)
    state.commit()
    assert state.digest() == whole.digest()


@given(days)
@FEWER
def test_read_returns_the_events_that_were_appended(steps: list[Step]) -> None:
    desk, log = Desk(), MemoryLog()
    for step in steps:
        added = play(desk, step)
        log.append([as_draft(each) for each in added], log.head().seq)

    back = list(log.read())

    assert [each.event for each in back] == [each.event for each in desk.log]
    assert State().replay(back).digest() == desk.state.digest()


def as_draft(recorded: Recorded) -> Draft:
    return Draft(**{name: getattr(recorded, name) for name in Draft.__struct_fields__})


@given(days)
@settings(max_examples=30)
def test_a_verdict_depends_on_nothing_but_the_log_up_to_it_and_the_command(steps: list[Step]) -> None:
    desk = Desk()
    for step in steps:
        before = list(desk.log)
        added = play(desk, step)
        ago = None if isinstance(step.command, ApplyReport) else step.ago  # a report has times of its own
        for group in by_command(added):
            request = Request(
                command=command_of([each.event for each in group]),
                origin=step.origin,
                occurred_at=None if ago is None else max(0, desk.now - ago),
            )
            state = State().replay(before)

            again = handle(state, request, resolve_order(state, request), DecisionTime.of(desk.now, state, Policy()))

            assert again == [as_draft(each) for each in group]
            before += group


@given(days)
@FEWER
def test_a_refused_command_leaves_no_trace(steps: list[Step]) -> None:
    desk = Desk()
    for step in steps:
        desk.now += step.after
        request = step.request(desk)
        if request is None:
            continue
        before = desk.state.digest()
        try:
            drafts = desk.decide(request)
        except OmsError:
            drafts = []

        assert desk.state.digest() == before
        desk.append(drafts)


@given(days)
@FEWER
def test_what_if_with_the_limits_in_force_changes_nothing_on_any_day(steps: list[Step]) -> None:
    desk = played(steps)

    seen = what_if(desk.log, {})

    assert (seen.flips, seen.lost_fills, seen.lost_commands, seen.impossible) == ([], [], 0, 0)
    assert all(row["realized_pnl"] == row["realized_pnl_what_if"] for row in seen.days)
    assert all(row["most"] == row["most_what_if"] for row in (*seen.exposure, *seen.daily_loss))
