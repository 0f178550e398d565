"""Predicted populations held against measured ones."""

from cellflow_cli.evaluation._summary import is_better, winners
from cellflow_cli.evaluation.intervals import covers
from cellflow_cli.evaluation.scores import Scores

__all__ = ["Scores", "covers", "is_better", "winners"]
