"""The public path of the metrics, which are in `oms_es.engine.metrics`."""

from oms_es.engine.metrics import Metrics, MetricsMissing

__all__ = ["Metrics", "MetricsMissing"]
