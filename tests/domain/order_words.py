"""What the tests of orders share."""

from oms_es.decimals import text
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import Event
from oms_es.domain.order import Order
from oms_es.domain.order_rules import decide
from tests.builders import order_of, said


def after(history: str) -> list[Event]:
    """Return the events of commands given in words, each decided on what stands before it."""
    events: list[Event] = []
    for words in filter(None, history.split(", ")):
        order = order_of(events)
        events += decide(said(words, waiting(order)), order, DecisionContext())
    return events


def waiting(order: Order | None) -> list[str]:
    return [] if order is None else [each.fill.quarantine_id for each in order.waiting]


def summary(order: Order | None) -> str:
    if order is None:
        return "no order"
    return f"{order.state.value} {text(order.filled_quantity)}/{text(order.quantity)} {text(order.open_quantity)}"
