"""Trained models: learn, keep, load, predict."""

from cellflow_cli.model._ablation import Ablation
from cellflow_cli.model._model import Model, load
from cellflow_cli.model._paths import Paths, paths, why_no_paths
from cellflow_cli.model._predict import Prediction, predict, prediction
from cellflow_cli.model._request import PredictionRequest, requested_conditions
from cellflow_cli.model._told import label_of
from cellflow_cli.model._train import Plan, plan, train
from cellflow_cli.model._write import write_prediction

__all__ = [
    "Ablation",
    "Model",
    "Paths",
    "Plan",
    "Prediction",
    "PredictionRequest",
    "label_of",
    "load",
    "paths",
    "plan",
    "predict",
    "prediction",
    "requested_conditions",
    "train",
    "why_no_paths",
    "write_prediction",
]
