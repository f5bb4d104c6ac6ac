"""Days at random: what a desk may do to two order ids in two accounts, with every kind of command and odd clocks."""

from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

from oms_es.domain.commands import (
    AddFill,
    AmendOrder,
    ApplyReport,
    BustFill,
    CancelOrder,
    ChangeState,
    Command,
    CorrectFill,
    DefineInstrument,
    LinkOrder,
    RecordMark,
    ReduceOrder,
    RejectCancel,
    RejectReplace,
    ReplaceOrder,
    ReportState,
    Request,
    RequestCancel,
    RequestReplace,
    ResolveQuarantined,
    SetLevel,
    SubmitOrder,
)
from oms_es.domain.envelope import Recorded
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.errors import LogError, OmsError
from oms_es.timestamps import SECOND
from oms_es.vocabulary import (
    CostMethod,
    FillKind,
    OrderSide,
    OrderState,
    OrderType,
    Origin,
    ReportStatus,
    TimeInForce,
    TradingLevel,
)
from tests.builders import Desk, limits, num, submit


class Step(NamedTuple):
    """A command, when it comes, and when it happened."""

    command: Command
    after: int = 0  # ns that our clock has gone on since the last step, or back
    ago: int | None = None  # ns before that, at the venue; None: now
    origin: Origin = Origin.COMMAND

    def request(self, desk: Desk) -> Request | None:
        """Return what is asked at the desk; None where there is nothing to decide about."""
        command = self.command
        if isinstance(command, ResolveQuarantined):
            waiting = desk.waiting()
            if not waiting:
                return None
            command = replace(command, quarantine_id=waiting[int(command.quarantine_id) % len(waiting)])
        if isinstance(command, ApplyReport):
            return Request(command=command, origin=Origin.COMMAND, any_account=command.account == "b")
        occurred_at = None if self.ago is None else max(0, desk.now - self.ago)
        return Request(command=command, origin=self.origin, occurred_at=occurred_at)


def play(desk: Desk, step: Step) -> list[Recorded]:
    """Return what a step puts into the log; [] where it is refused. A damaged log is never a refusal."""
    desk.now += step.after
    request = step.request(desk)
    if request is None:
        return []
    try:
        drafts = desk.decide(request)
    except LogError:
        raise
    except OmsError:
        return []
    return desk.append(drafts)


def played(steps: Iterable[Step], method: CostMethod = CostMethod.FIFO) -> Desk:
    """Return the desk after a day."""
    desk = Desk(method)
    for step in steps:
        play(desk, step)
    return desk


_order = {
    "order_id": st.sampled_from(["o-1", "o-1", "o-1", "o-1", "o-2", "o-2", "o-3", "v-1"]),
    "account": st.sampled_from(["default", "default", "default", "b"]),
}
_actor = st.sampled_from(["", "desk"])
_quantities = st.sampled_from(["10", "10", "10", "40", "40", "60", "0.00000001", "120"]).map(num)
_prices = st.sampled_from(["9", "10", "10", "11", "12.5", "16", "-3"]).map(num)
_fees = st.sampled_from(["0", "0", "1", "-0.25"]).map(num)
_trades = st.sampled_from(["t1", "t1", "t2", "t2", "t3"])
_maybe_trades = st.sampled_from([None, "t1", "t2", "t2", "t3", "t3"])
_maybe_quantity, _maybe_price, _maybe_fee = st.none() | _quantities, st.none() | _prices, st.none() | _fees
_symbols = st.sampled_from(["AAA", "AAA", "BBB"])
_sides = st.sampled_from(OrderSide)
_submits = st.builds(
    SubmitOrder,
    **_order,
    actor=_actor,
    symbol=_symbols,
    side=_sides,
    order_type=st.just(OrderType.LIMIT),
    quantity=_quantities,
    price=_prices,
    reduce_only=st.sampled_from([False, False, True]),
    time_in_force=st.sampled_from(TimeInForce),
) | st.builds(
    SubmitOrder, **_order, symbol=_symbols, side=_sides, order_type=st.just(OrderType.MARKET), quantity=_quantities
)
_fills = st.builds(
    AddFill,
    **_order,
    actor=_actor,
    fill_quantity=_quantities,
    fill_price=_prices,
    trade_id=_maybe_trades,
    fee=_fees,
)
_foreign_fills = st.builds(
    AddFill,
    **_order,
    fill_quantity=_quantities,
    fill_price=_prices,
    trade_id=_maybe_trades,
    symbol=st.none() | _symbols,
    side=st.none() | _sides,
)
_changes = st.builds(
    ChangeState,
    **_order,
    new=st.sampled_from(OrderState),
    external_order_id=st.none() | st.sampled_from(["v-1", "v-2"]),
    error_message=st.none() | st.just("no such symbol"),
)
_links = st.builds(LinkOrder, **_order, actor=_actor, external_order_id=st.sampled_from(["v-1", "v-2"]))
_amends = st.builds(AmendOrder, **_order, quantity=_maybe_quantity | st.just(num("0")), price=_maybe_price).filter(
    lambda command: (command.quantity, command.price) != (None, None)
)
_corrections = st.builds(
    CorrectFill,
    **_order,
    actor=_actor,
    trade_id=_trades,
    fill_quantity=_maybe_quantity,
    fill_price=_maybe_price,
    fee=_maybe_fee,
    reason=st.sampled_from(["", "venue"]),
    correction_id=st.none() | st.sampled_from(["t3", "t4"]),
).filter(lambda command: (command.fill_quantity, command.fill_price, command.fee) != (None, None, None))
_requests = st.one_of(
    st.builds(RequestCancel, **_order, actor=_actor, reason=_actor, reported=st.booleans()),
    st.builds(RejectCancel, **_order, actor=_actor, reason=_actor),
    st.builds(
        RequestReplace,
        **_order,
        quantity=_maybe_quantity,
        price=_maybe_price,
        new_order_id=st.none() | st.sampled_from(["n-1", "n-2"]),
        reported=st.booleans(),
    ),
    st.builds(RejectReplace, **_order, reason=_actor),
    st.builds(
        ReplaceOrder,
        **_order,
        quantity=_maybe_quantity,
        price=_maybe_price,
        new_order_id=st.none() | st.sampled_from(["n-1", "n-2"]),
        external_order_id=st.none() | st.sampled_from(["v-1", "v-2"]),
    ),
    st.builds(
        ReportState,
        **_order,
        new=st.sampled_from([OrderState.WORKING, OrderState.CANCELLED, OrderState.REJECTED]),
        external_order_id=st.none() | st.sampled_from(["v-1", "v-2"]),
        reason=_actor,
    ),
)
_fill_reports = st.builds(
    FillReport, order_id=st.none() | st.sampled_from(["o-1", "o-2", "n-1"]),
    external_order_id=st.sampled_from(["v-1", "v-2"]), trade_id=_maybe_trades, trade_ref_id=_trades,
    kind=st.sampled_from(FillKind), quantity=_quantities, price=_prices, fee=_maybe_fee,
    fee_currency=st.sampled_from(["", "", "AAA", "BNB"]), symbol=st.none() | _symbols, side=st.none() | _sides,
)  # fmt: skip
_order_reports = st.builds(
    OrderReport, status=st.sampled_from(ReportStatus),
    order_id=st.none() | st.sampled_from(["o-1", "o-2", "n-1", "n-2"]),
    original_order_id=st.none() | st.sampled_from(["o-1", "n-1"]), external_order_id=st.sampled_from(["v-1", "v-2"]),
    quantity=st.none() | _quantities, price=st.none() | _prices,
    filled_quantity=st.none() | st.sampled_from(["40", "60", "100"]).map(num), avg_fill_price=st.none() | _prices,
    symbol=st.none() | st.just("AAA"), side=st.none() | _sides,
    fills=st.none() | st.lists(_fill_reports, max_size=2).map(tuple), reason=_actor,
)  # fmt: skip
_reports = st.builds(ApplyReport, order_id=st.just(""), actor=_actor, report=_fill_reports | _order_reports)
_decisions = st.builds(
    ResolveQuarantined, order_id=st.just(""), actor=_actor, quarantine_id=st.integers(0, 3).map(str),
    accept=st.booleans(), symbol=st.none() | _symbols, side=st.none() | _sides,
    reason=st.sampled_from(["", "called the venue"]),
)  # fmt: skip
_rules = st.sampled_from(
    [
        limits(max_position_size="150", max_open_orders="3", max_skew="100", min_quote_size="10"),
        limits(on_exception="accept"),
        limits(price_band="0.5", on_exception="quarantine"),
        limits("b", max_daily_loss="50", max_orders_per_second="2", restricted=("BBB",)),
        limits(roll="17:00", timezone="America/New_York", max_clock_step="5"),
    ]
)
_others = st.one_of(
    st.builds(RecordMark, symbol=_symbols, price=_prices),
    st.builds(
        DefineInstrument, symbol=_symbols, multiplier=st.sampled_from([num("1"), num("10")]), currency=st.just("USD"),
        base=st.sampled_from(["", "AAA"]),
    ),
    st.builds(SetLevel, account=st.sampled_from(["*", "b"]), level=st.sampled_from(TradingLevel), reason=_actor),
    _rules,
)  # fmt: skip
_busts = st.builds(BustFill, **_order, trade_id=_trades, reason=st.sampled_from(["", "venue"]))
_cancels = st.builds(CancelOrder, **_order, actor=_actor, reason=st.sampled_from(["User requested", ""]))


def _mixed(*often: tuple[int, st.SearchStrategy[Command]]) -> st.SearchStrategy[Command]:
    """Return commands of several kinds, each as often as its number says."""
    return st.sampled_from([kind for times, kind in often for _ in range(times)]).flatmap(lambda kind: kind)


commands = _mixed(
    (12, _fills), (4, _busts), (4, _corrections), (3, _decisions), (3, _changes), (2, _submits), (2, _amends),
    (1, _cancels), (2, _links), (2, _foreign_fills),
    (3, _requests), (5, _reports), (4, _others),
)  # fmt: skip
_imports = _mixed(
    (4, _fills), (1, _submits), (1, _foreign_fills), (1, _amends),
    (1, st.builds(ReduceOrder, **_order, quantity=_quantities)),
)  # fmt: skip
_ago = st.sampled_from([None, None, 0, SECOND, 3600 * SECOND, 30 * 3600 * SECOND, -SECOND])
_after = st.sampled_from([0, 1, SECOND // 2, SECOND, 3600 * SECOND, 24 * 3600 * SECOND, -SECOND, -7 * SECOND])
_command, _import = st.just(Origin.COMMAND), st.just(Origin.IMPORT)
_steps = st.one_of(
    st.builds(Step, commands, _after, _ago, _command), st.builds(Step, commands, st.just(0), st.none(), _command),
    st.builds(Step, commands, st.just(1), st.none(), _command), st.builds(Step, _imports, _after, _ago, _import),
)  # fmt: skip


@st.composite
def _days(draw: st.DrawFn) -> list[Step]:
    """Draw a day that begins with an order or two, so that there is something to happen to."""
    opening = [
        Step(submit(draw(_totals), "10", draw(_sides), order_id=order_id, account=account))
        for order_id, account in (("o-1", "default"), ("o-2", "default"), ("o-1", "b"))
    ]
    return [*opening, *draw(st.lists(_steps, min_size=8, max_size=30))]


_totals = st.sampled_from(["100", "120", "500"])
days: st.SearchStrategy[list[Step]] = _days()
