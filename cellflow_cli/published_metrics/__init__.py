"""What other projects mean by the names of their metrics: one file per project."""

from cellflow_cli.published_metrics._definitions import (
    Definitions,
    described,
    find,
    metrics_of,
    origin_of,
    project_of,
)

__all__ = ["Definitions", "described", "find", "metrics_of", "origin_of", "project_of"]

KIND = "project of published metrics"
"""What one entry of this open room is called."""
