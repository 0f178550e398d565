"""Predictors that no metric should prefer: made from the measured cells, each with one thing broken."""

from cellflow_cli.degenerate._truth import DegeneratePredictor, Truth

__all__ = ["DegeneratePredictor", "Truth"]

KIND = "degenerate predictor"
"""What one entry of this open room is called."""
