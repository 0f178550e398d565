"""Predicted populations held against measured ones."""

from cellflow_cli.evaluation.scores import Scores

__all__ = ["Scores"]
