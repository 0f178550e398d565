"""Trained models: learn, keep, load, predict."""

from cellflow_cli.model._ablation import Ablation
from cellflow_cli.model._model import Model, load
from cellflow_cli.model._predict import Prediction, predict, prediction
from cellflow_cli.model._request import PredictionRequest, requested_conditions
from cellflow_cli.model._told import label_of
from cellflow_cli.model._train import Plan, plan, train
from cellflow_cli.model._write import write_prediction

__all__ = [
    "Ablation",
    "Model",
    "Plan",
    "Prediction",
    "PredictionRequest",
    "label_of",
    "load",
    "plan",
    "predict",
    "prediction",
    "requested_conditions",
    "train",
    "write_prediction",
]
