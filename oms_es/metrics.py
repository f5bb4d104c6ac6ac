"""Re-export of the metrics in `oms_es.engine.metrics`."""

from oms_es.engine.metrics import Metrics, MetricsMissing

__all__ = ["Metrics", "MetricsMissing"]
