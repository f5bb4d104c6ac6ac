"""
Translate a venue's report into commands, each decided on the state after those before it.

A report about known facts becomes commands that change nothing, so reports may be repeated and may come in any
order. First the ids are linked, then fills are booked, then the state changes.
"""

import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from oms_es.decimals import ZERO
from oms_es.domain.commands import (
    AddFill,
    ApplyReport,
    BustFill,
    CorrectFill,
    LinkOrder,
    OrderCommand,
    RejectCancel,
    RejectReplace,
    ReplaceOrder,
    ReportState,
    Request,
    RequestCancel,
    RequestReplace,
)
from oms_es.domain.envelope import Draft
from oms_es.domain.inferred import inferred_id, missing_fill
from oms_es.domain.order import Order
from oms_es.domain.reports import FillReport, OrderReport, Report, fee_of, fills_of
from oms_es.engine.command_result import CommandResult
from oms_es.engine.log_context import about
from oms_es.identifiers import shown
from oms_es.projections.orders import Key
from oms_es.projections.state import State
from oms_es.vocabulary import FillKind, Liquidity, OrderSide, OrderState, ReportStatus

S = OrderState
R = ReportStatus
_NAMES_REPLACEMENT = (R.PENDING, R.WORKING, R.PENDING_REPLACE, R.REPLACED, R.FILLED)  # its order id is a new client id
_log = logging.getLogger("oms_es")


def decide_report(
    state: State, request: Request, decide: Callable[[Request], list[Draft]]
) -> tuple[list[Draft], CommandResult]:
    """
    Decide the commands of a report, each on the state after those before it; `state` is unchanged afterwards.

    Args:
        state: the state before the report.
        request: an `ApplyReport`.
        decide: decides one of its commands.

    Returns:
        The events of all commands, and the result with the account and id of the order.
    """
    command = request.command
    assert isinstance(command, ApplyReport), "only a report becomes several commands"
    account = None if request.any_account else command.account
    drafts: list[Draft] = []
    before = state.seq, state.recorded_at
    try:
        with state.undo.tentative():
            for each in _Reported(state, command.report, account, command.actor).requests():
                for draft in decide(each):
                    state.apply(draft.recorded_as(state.seq + 1))
                    drafts.append(draft)
            key = _key(state, command.report, account)
    finally:
        state.seq, state.recorded_at = before
    if key is not None:
        command = replace(command, account=key[0], order_id=key[1])
    events = [draft.event for draft in drafts]
    return drafts, CommandResult(command, events, None, repeated=not events)


def _ids(report: Report) -> tuple[str | None, ...]:
    original = report.original_order_id if isinstance(report, OrderReport) else None
    return report.order_id, original, report.external_order_id


def _key(state: State, report: Report, account: str | None) -> Key | None:
    """
    Return the order that a report is about, by its client ids, else by the venue's id; None if it is unknown.

    Raises:
        AmbiguousOrder: a venue's id names several orders, and not exactly one has the report's symbol and side.
    """
    for name in _ids(report):
        keys = [] if name is None else state.orders.named(name, account)
        if len(keys) > 1:
            fitting = [key for key in keys if _fits(state.orders.order(key), report)]
            live = [key for key in fitting if (order := state.orders.order(key)) is not None and order.is_open]
            keys = fitting if len(fitting) == 1 else live
            if len(keys) != 1:
                raise state.orders.ambiguous(name or "", state.orders.named(name or "", account))
        if keys:
            return state.orders.current_key(keys[0])
    return None


def _fits(order: Order | None, report: Report) -> bool:
    """Return whether symbol and side of a report are those of the order, as far as they are reported."""
    return order is not None and report.symbol in (None, order.symbol) and report.side in (None, order.side)


class _Reported:
    """One report, and the order that it is about."""

    def __init__(self, state: State, report: Report, account: str | None, actor: str) -> None:
        self._state, self._report, self._account, self._actor = state, report, account, actor
        self._at = report.occurred_at

    def _order(self) -> Order | None:
        key = _key(self._state, self._report, self._account)
        return None if key is None else self._state.orders.order(key)

    def _request(self, kind: type[OrderCommand], order: Order, at: int | None = None, **fields: Any) -> Request:
        command = kind(account=order.account, order_id=order.order_id, actor=self._actor, **fields)
        return Request(command=command, occurred_at=self._at if at is None else at, is_located=True)

    def requests(self) -> Iterator[Request]:
        """Yield the requests of the report; each is applied to the state before the next one is made."""
        if isinstance(self._report, FillReport):
            yield from self.fill(self._report)
        else:
            yield from self.order(self._report)

    # --- fills ---

    def fill(self, report: FillReport) -> Iterator[Request]:
        """Yield the commands of a reported fill, correction or bust."""
        order = self._order()
        if order is not None:
            yield from self._links(report, order)
        yield self._restated(report) if report.kind is not FillKind.TRADE else self._traded(report)

    def _traded(self, report: FillReport) -> Request:
        fields = {
            "fill_quantity": report.quantity,
            "fill_price": report.price,
            "trade_id": report.trade_id,
            "fee": fee_of(report),
            "symbol": report.symbol,
            "side": report.side,
            "fee_currency": report.fee_currency,
            "liquidity": report.liquidity.value if isinstance(report.liquidity, Liquidity) else None,
        }
        return self._fill_request(AddFill, report.occurred_at, fields)

    def _restated(self, report: FillReport) -> Request:
        reference = report.trade_ref_id
        if report.kind is FillKind.BUST:
            return self._fill_request(BustFill, report.occurred_at, {"trade_id": reference, "reason": "reported"})
        own_id = None if report.trade_id == reference else report.trade_id
        fields = {
            "trade_id": reference,
            "fill_quantity": report.quantity,
            "fill_price": report.price,
            "fee": report.fee,
            "correction_id": own_id,
            "reason": "reported",
        }
        return self._fill_request(CorrectFill, report.occurred_at, fields)

    def _fill_request(self, kind: type[OrderCommand], at: int | None, fields: dict[str, Any]) -> Request:
        """Return the command of a fill; of an unknown order it goes by the id that the venue reports."""
        order = self._order()
        if order is not None:
            return self._request(kind, order, at, **fields)
        name = self._report.external_order_id or self._report.order_id or ""
        names = {"order_id": name, "actor": self._actor}
        if self._account is not None:
            names["account"] = self._account
        return Request(
            command=kind(**names, **fields),
            occurred_at=self._at if at is None else at,
            any_account=self._account is None,
        )

    # --- ids ---

    def _links(self, report: Report, order: Order) -> Iterator[Request]:
        """Yield the commands that record new ids of the order."""
        if not _fits(order, report):
            return
        names_replacement = isinstance(report, OrderReport) and report.status in _NAMES_REPLACEMENT
        alias = report.order_id if names_replacement else None
        if alias is not None and not self._state.orders.named(alias, order.account):
            yield self._request(LinkOrder, order, external_order_id=alias, is_client_id=True)
        name = report.external_order_id
        if name is not None and name != order.order_id and self._is_new(name, order):
            yield self._request(
                LinkOrder,
                order,
                external_order_id=name,
                is_replaced=report.order_id in order.replaced_ids,
                client_id=report.order_id if report.order_id in order.aliases else None,
            )

    def _is_new(self, name: str, order: Order) -> bool:
        """Return whether a venue's id is new to the order, or names an external order that had no room in it."""
        if name not in order.external_order_ids:
            return True
        other = self._state.orders.orders.get((order.account, name))
        return other is not None and other is not order and other.is_external and other.merged_into is None

    # --- orders ---

    def order(self, report: OrderReport) -> Iterator[Request]:
        """Yield the commands of a reported order: its ids, then its fills, then its state."""
        order = self._order()
        if order is not None:
            if not _fits(order, report):
                _log.warning(
                    "report ignored: %s is %s %s, but %s is reported as %s %s",
                    shown(order.order_id), order.side.value, order.symbol,
                    shown(report.external_order_id or report.order_id), _word(report.side), report.symbol,
                    extra=about(account=order.account, order_id=order.order_id, seq=order.last_seq),
                )  # fmt: skip
                for each in fills_of(report):  # a conflict, which waits in quarantine
                    yield self._restated(each) if each.kind is not FillKind.TRADE else self._traded(each)
                return
            yield from self._links(report, order)
        if report.status is R.REPLACED:  # first: fills may need the new quantity
            yield from self._replaced(report)
        for each in fills_of(report):
            yield self._restated(each) if each.kind is not FillKind.TRADE else self._traded(each)
        yield from self._inferred(report)
        yield from self._state_of(report)

    def _inferred(self, report: OrderReport) -> Iterator[Request]:
        """Yield a fill of the quantity that the venue reports beyond the known fills, where settings allow it."""
        order = self._order()
        cumulative = report.filled_quantity
        if cumulative is None and report.status is R.FILLED and report.fills is None:
            cumulative = report.quantity if order is None or report.quantity is not None else order.quantity
        policy = self._state.policies.policy(order.account if order is not None else self._account or "default")
        if not isinstance(cumulative, Decimal) or not cumulative or not policy.infer:
            return
        name = report.external_order_id or report.order_id or report.original_order_id or ""
        average = report.avg_fill_price if isinstance(report.avg_fill_price, Decimal) else None
        if order is None:
            price = average if average is not None else report.price
            if report.symbol is None or report.side is None or price is None:
                return
            found = (inferred_id(name, cumulative), cumulative, price)
        else:
            missing = missing_fill(order, name, cumulative, average, at=self._at)
            if missing is None:
                return
            found = missing
        trade_id, quantity, price = found
        fields = {"fill_quantity": quantity, "fill_price": price, "trade_id": trade_id, "inferred": True}
        yield self._fill_request(AddFill, None, {**fields, "symbol": report.symbol, "side": report.side})

    def _state_of(self, report: OrderReport) -> Iterator[Request]:
        """Yield the command of the reported status."""
        order = self._order()
        if order is None:
            return
        status, text = report.status, report.reason
        match status:
            case R.WORKING | R.PENDING:
                if status is R.WORKING or order.state is S.FAILED:
                    yield self._request(ReportState, order, new=S.WORKING)
            case R.PENDING_CANCEL:
                yield from self._acknowledged(order)
                yield self._request(RequestCancel, order, reason=text, reported=True)
            case R.PENDING_REPLACE:
                yield from self._acknowledged(order)
                yield self._request(
                    RequestReplace, order, quantity=report.quantity, price=report.price, reported=True,
                    new_order_id=self._new_order_id(report),
                )  # fmt: skip
            case R.CANCEL_REJECTED:
                yield from self._rejected_request(report, order)
            case R.CANCELLED | R.EXPIRED:
                reason = text if status is R.CANCELLED else f"expired: {text}".removesuffix(": ")
                name = report.external_order_id or report.order_id
                yield self._request(
                    ReportState, order, new=S.CANCELLED, external_order_id=self._cancelled_id(order, name),
                    reason=reason,
                )  # fmt: skip
            case R.REJECTED:
                yield self._request(ReportState, order, new=S.REJECTED, error_message=text or None)
            case R.FILLED:
                yield from self._completed(report, order)
            case _:
                return

    @staticmethod
    def _cancelled_id(order: Order, name: str | None) -> str | None:
        """Return the id under which the venue cancelled an order, where that matters after a replace."""
        return name if name in (*order.external_order_ids, *order.replaced_ids) else None

    def _acknowledged(self, order: Order) -> Iterator[Request]:
        """Yield the acknowledgement that a request on the order implies."""
        if order.state in (S.PENDING, S.FAILED):
            yield self._request(ReportState, order, new=S.WORKING)

    def _rejected_request(self, report: OrderReport, order: Order) -> Iterator[Request]:
        """Yield the rejection of a cancel, or of the replace that the report names or that alone is requested."""
        pending = order.replacement
        names_replace = pending is not None and pending.new_order_id is not None
        if pending is not None and (
            not order.pending_cancel or (names_replace and report.order_id == pending.new_order_id)
        ):
            yield self._request(RejectReplace, order, reason=report.reason)
        else:
            yield self._request(RejectCancel, order, reason=report.reason)

    def _completed(self, report: OrderReport, order: Order) -> Iterator[Request]:
        """Yield the venue's smaller total, where it calls the order filled with less than we asked for."""
        if order.state in (S.PENDING, S.WORKING) and order.filled_quantity:
            wanted = report.quantity if isinstance(report.quantity, Decimal) else ZERO
            if order.filled_quantity == wanted < order.quantity:
                yield self._request(ReplaceOrder, order, quantity=wanted)

    # --- replaces ---

    def _replaced(self, report: OrderReport) -> Iterator[Request]:
        order = self._order()
        if order is None or (self._at is not None and self._at < order.amended_at):
            return  # unknown, or older news than the last amendment
        yield self._request(
            ReplaceOrder,
            order,
            quantity=report.quantity,
            price=report.price,
            new_order_id=self._new_order_id(report),
            external_order_id=report.external_order_id,
        )

    @staticmethod
    def _new_order_id(report: OrderReport) -> str | None:
        """Return the client id of a replacement, in a report that also has the one before it."""
        return None if report.original_order_id in (None, report.order_id) else report.order_id


def _word(side: OrderSide | str | None) -> str:
    return side.value if isinstance(side, OrderSide) else side or ""
