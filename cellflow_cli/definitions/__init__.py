"""What other projects mean by the names of their metrics: one file per project."""

from cellflow_cli.definitions._definitions import (
    Definitions,
    described,
    find,
    metrics_of,
    origin_of,
    project_of,
)

__all__ = ["Definitions", "described", "find", "metrics_of", "origin_of", "project_of"]
