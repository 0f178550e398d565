"""Predicted populations held against measured ones."""

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.intervals import covers
from cellflow_cli.statistics.means import is_better, winners

__all__ = ["Scores", "covers", "is_better", "winners"]
