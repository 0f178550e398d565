"""Trained models: learn, keep, load, and test whether the context matters."""

from cellflow_cli.model.context_ablation import ContextAblation
from cellflow_cli.model.model import Model, load
from cellflow_cli.model.paths import Paths, paths, why_no_paths
from cellflow_cli.model.plan import Plan, plan
from cellflow_cli.model.train import train

__all__ = ["ContextAblation", "Model", "Paths", "Plan", "load", "paths", "plan", "train", "why_no_paths"]
