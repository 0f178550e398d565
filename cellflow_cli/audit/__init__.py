"""Predictors that no metric should prefer: made from the measured cells, each with one thing broken."""

from cellflow_cli.audit._truth import Truth

__all__ = ["Truth"]
