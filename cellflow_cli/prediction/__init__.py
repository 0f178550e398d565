"""A trained model meets new populations: what is requested, carried, and kept in a prediction file."""

from cellflow_cli.prediction.file import PredictionFile, is_prediction
from cellflow_cli.prediction.predict import Prediction, plan_prediction
from cellflow_cli.prediction.request import PredictionRequest, requested_conditions
from cellflow_cli.prediction.write import predict, write_prediction

__all__ = [
    "Prediction",
    "PredictionFile",
    "PredictionRequest",
    "is_prediction",
    "plan_prediction",
    "predict",
    "requested_conditions",
    "write_prediction",
]
