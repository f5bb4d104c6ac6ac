"""
Latencies and sizes for Prometheus, measured from the first read of `oms.metrics` on.

They are never part of a decision. Needs the extra `oms_es[metrics]` (prometheus-client).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from oms_es.domain.envelope import Draft
from oms_es.domain.events import FillAdded, OrderSubmitted, StateChanged
from oms_es.engine.callbacks import Callbacks
from oms_es.errors import OmsError
from oms_es.projections.state import State
from oms_es.vocabulary import OrderState, Origin

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_LATENCIES = (0.00001, 0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30)  # seconds


class MetricsMissing(OmsError, ImportError):
    """prometheus-client is not installed."""


class StateSource(Protocol):
    """An object that has the current state."""

    @property
    def state(self) -> State:
        """Return the state after everything in the log."""

    def committed(self) -> AbstractContextManager[State]:
        """Show the committed state to any thread inside the `with` block, without reading the log."""

    def follow(self) -> None:
        """Apply the events that other processes have appended."""


class Metrics:
    """
    The measurements of the sequencer.

    `oms_order_latency_seconds`: from the submission to the venue's acknowledgement, by our clock;
    `oms_fill_latency_seconds`: from the execution at the venue to the fill in the log;
    `oms_risk_check_seconds`: deciding a command; `oms_batch_events`: events made durable together;
    `oms_events_total` by topic; `oms_orders_in_memory`, `oms_open_orders`, `oms_positions`, `oms_quarantined_fills`;
    `oms_callbacks_waiting` and `oms_callbacks_dropped`: calls of callbacks that are slower than the events.
    """

    def __init__(self, source: StateSource, callbacks: Callbacks) -> None:
        self._source = source
        self._callbacks = callbacks
        _ = source.state  # fold the log now: a scrape may come from another thread
        try:
            import prometheus_client as prometheus  # noqa: PLC0415 - an extra: needed only here
        except ImportError:
            raise MetricsMissing("metrics need prometheus-client: pip install 'oms_es[metrics]'") from None
        self._prometheus = prometheus
        self.registry: CollectorRegistry = prometheus.CollectorRegistry()
        here: dict[str, Any] = {"registry": self.registry}
        seconds: dict[str, Any] = {**here, "buckets": _LATENCIES}
        self._order = prometheus.Histogram("oms_order_latency_seconds", "Submission to acknowledgement", **seconds)
        self._fill = prometheus.Histogram("oms_fill_latency_seconds", "Execution to the fill in the log", **seconds)
        self._risk = prometheus.Histogram("oms_risk_check_seconds", "Deciding a command", **seconds)
        sizes = (1, 2, 5, 10, 25, 100, 500, 2500)
        self._batch = prometheus.Histogram("oms_batch_events", "Events made durable together", buckets=sizes, **here)
        self._events = prometheus.Counter("oms_events", "Events appended", ["topic"], **here)
        self.registry.register(self)

    def collect(self) -> Iterator[Any]:
        """Return the gauges of this moment."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

        with self._source.committed() as state:
            figures = {
                "oms_orders_in_memory": ("Orders held in memory", len(state.orders.orders)),
                "oms_open_orders": ("Orders with something open", sum(list(state.orders.open_count.values()))),
                "oms_positions": (
                    "Positions that are not flat",
                    sum(bool(held.quantity) for held in list(state.positions.held.values())),
                ),
                "oms_quarantined_fills": (
                    "Fills that wait in quarantine",
                    sum(len(key) == 2 for key in list(state.orders.waiting.values())),
                ),
            }
        waiting, dropped = self._callbacks.counts()
        figures["oms_callbacks_waiting"] = ("Calls that wait for a callback", waiting)
        figures["oms_callbacks_dropped"] = ("Calls of callbacks that were dropped", dropped)
        for name, (says, figure) in figures.items():
            yield GaugeMetricFamily(name, says, value=figure)

    def text(self) -> str:
        """Return everything in Prometheus' text format, for a bot's own endpoint; other processes' events included."""
        self._source.follow()
        return str(self._prometheus.generate_latest(self.registry).decode())

    def asgi_app(self) -> Any:
        """Return an ASGI application that serves the metrics, to mount where a bot likes."""
        return self._prometheus.make_asgi_app(registry=self.registry)

    def wsgi_app(self) -> Any:
        """Return a WSGI application that serves the metrics."""
        return self._prometheus.make_wsgi_app(registry=self.registry)

    # --- measuring ---

    def judged(self, nanoseconds: int) -> None:
        """Count the time that deciding a command took."""
        self._risk.observe(nanoseconds / 1e9)

    def appended(self, drafts: Sequence[Draft], state: State) -> None:
        """Count events that were made durable; `state` is the state after them."""
        if drafts:
            self._batch.observe(len(drafts))
        for draft in drafts:
            self._events.labels(type(draft.event).__name__).inc()
            self._latency(draft, state)

    def _latency(self, draft: Draft, state: State) -> None:
        event = draft.event
        if draft.origin is Origin.IMPORT or isinstance(event, OrderSubmitted):
            return
        if isinstance(event, FillAdded):
            self._fill.observe(max(0, draft.recorded_at - draft.occurred_at) / 1e9)
        elif isinstance(event, StateChanged) and event.new is OrderState.WORKING and event.old is OrderState.PENDING:
            order = state.orders.order((event.account, event.order_id))
            if order is not None:
                self._order.observe(max(0, draft.recorded_at - order.known_at) / 1e9)
