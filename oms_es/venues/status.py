"""The state of a gateway, for people and for metrics."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct


class Break(Struct, frozen=True, order=True):
    """A disagreement between the log and the venue that reports did not settle."""

    kind: str  # unknown_order, open_order, filled_quantity, position, instrument
    name: str  # an order id, an asset, or a symbol
    detail: str


class GatewayStatus(Struct, frozen=True, kw_only=True):
    """The state of a gateway at one moment; times are ns UTC, 0 for never."""

    connected: bool
    last_message_at: int
    reconnects: int
    reconciled_at: int  # end of the last complete reconciliation
    reconciliations: int
    in_flight: tuple[str, ...]  # orders whose outcome at the venue is not known yet
    breaks: tuple[Break, ...]
    submits: int
    refusals: int  # orders that the venue refused
    cancels: int
    reports: int  # from the stream, and from reconciliation
    ignored: int  # reports that could not be read or recorded; the log of the program has each
    unsure: int  # calls without a clear answer
    quarantined: int  # fills of the account that wait for a decision
    failure: str | None = None  # why the gateway has stopped


_COUNTERS = ("reconnects", "reconciliations", "submits", "refusals", "cancels", "reports", "ignored", "unsure")


class StatusCollector:
    """
    The status as Prometheus metrics.

    Args:
        gateway: its `status()` is read at each scrape.
    """

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Any]:
        """Yield the metrics of this moment."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - an extra

        status: GatewayStatus = self._gateway.status()
        for name in _COUNTERS:
            yield CounterMetricFamily(f"oms_venue_{name}", f"Gateway: {name}", value=getattr(status, name))
        gauges = {
            "connected": float(status.connected),
            "in_flight": float(len(status.in_flight)),
            "breaks": float(len(status.breaks)),
            "quarantined": float(status.quarantined),
            "reconciled_timestamp_seconds": status.reconciled_at / 1e9,
        }
        for name, value in gauges.items():
            yield GaugeMetricFamily(f"oms_venue_{name}", f"Gateway: {name.replace('_', ' ')}", value=value)
