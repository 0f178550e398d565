"""Two sets of cells to one number."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue

__all__ = ["Comparison", "Metric", "MetricValue"]
