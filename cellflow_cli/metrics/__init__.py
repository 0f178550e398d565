"""Two sets of cells to one number."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue, Space

__all__ = ["Comparison", "Metric", "MetricValue", "Space"]

KIND = "metric"
"""What one entry of this open room is called."""
