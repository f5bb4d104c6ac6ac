"""The lines of `oms ingest`: a JSON object into a command or a fact, and its outcome into an answer."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from oms_es import OMSOrder, OrderManagementSystem
from oms_es.api.refusals import raise_refusal
from oms_es.domain.reports import report_of
from oms_es.errors import FillQuarantinedError, InvalidInput, OmsError, OrderRejected
from oms_es.identifiers import shown
from oms_es.importers.facts import Defaults, parsed, to_fact
from oms_es.projections.views import order_view
from oms_es.vocabulary import OrderState

MOST_BYTES = 65536  # in one line
# A command of `oms` → the method of the API that carries it out, and arguments that the command implies.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "submit": ("submit_order", {}),
    "ack": ("update_order_state", {"new_state": OrderState.WORKING}),
    "reject": ("update_order_state", {"new_state": OrderState.REJECTED}),
    "fail": ("update_order_state", {"new_state": OrderState.FAILED}),
    "link": ("link_order", {}),
    "fill": ("add_fill", {}),
    "cancel": ("cancel_order", {}),
    "amend": ("amend_order", {}),
    "bust": ("bust_fill", {}),
    "correct": ("correct_fill", {}),
    "resolve": ("resolve_quarantined", {}),
    "mark": ("record_mark", {}),
    "instrument": ("define_instrument", {}),
    "limits": ("set_limits", {}),
    "halt": ("halt", {}),
    "resume": ("resume", {}),
    "close-day": ("close_day", {}),
}
_SHOWN = (
    "order_id", "account", "symbol", "side", "order_type", "quantity", "price", "state", "filled_quantity",
    "remaining_quantity", "open_quantity", "avg_fill_price", "fees", "external_order_id", "error_message",
)  # fmt: skip


def carry_out(oms: OrderManagementSystem, line: bytes) -> Awaitable[OMSOrder | None]:
    """
    Return the outcome of a line: a `{"command": …}`, a `{"kind": …}` (a fact), or a `{"report": …}` of a venue.

    Raises:
        InvalidInput: the line is neither; names the missing or unknown field.
    """
    if len(line) > MOST_BYTES:
        raise InvalidInput(f"the line is longer than {MOST_BYTES} bytes")
    body = parsed(line)
    name = body.pop("command", None)
    if name is not None:
        return _call(oms, name, body)
    if "kind" in body:
        return _import(oms, body)
    if isinstance(body.get("report"), dict):
        return oms.apply_report(report_of(body["report"]), account=body.get("account"))
    raise InvalidInput('the line has no "command", no "kind" and no "report"')


def _call(oms: OrderManagementSystem, name: object, arguments: dict[str, Any]) -> Awaitable[OMSOrder | None]:
    if not isinstance(name, str) or name not in METHODS:
        raise InvalidInput(f"command: {shown(name)} is not one of {', '.join(METHODS)}")
    method, implied = METHODS[name]
    call: Callable[..., Awaitable[OMSOrder | None]] = getattr(oms, method)
    try:
        return call(**arguments, **implied)  # a coroutine: only its arguments are bound here
    except TypeError as error:
        known = ", ".join(each for each in inspect.signature(call).parameters if each not in implied)
        raise InvalidInput(f"{name}: {error}; it has the fields {known}") from None


async def _import(oms: OrderManagementSystem, body: dict[str, Any]) -> OMSOrder | None:
    answer = await oms.sequencer.perform(to_fact(body, 0, Defaults()).request)
    raise_refusal(answer.command, answer.events, answer.order)
    return None if answer.order is None else order_view(answer.order)


def accepted(number: int, order: OMSOrder | None) -> dict[str, Any]:
    """Return the answer to line `number`, which is durable."""
    return {"line": number, "ok": True, "order": None if order is None else _order_row(order)}


def refused(number: int, error: OmsError) -> dict[str, Any]:
    """Return the answer to line `number`, which was refused or quarantined."""
    what: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    order = None
    if isinstance(error, OrderRejected):
        what["violations"] = error.violations
        order = error.order and _order_row(error.order)
    elif isinstance(error, FillQuarantinedError):
        what |= {"quarantine_id": error.quarantine_id, "reason": error.reason}
    return {"line": number, "ok": False, "error": what, "order": order}


def _order_row(order: OMSOrder) -> dict[str, Any]:
    row = {name: getattr(order, name) for name in _SHOWN}
    return {**row, "avg_fill_price": order.avg_fill_price if order.filled_quantity else None}
