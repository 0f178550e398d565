"""A trained model meets new populations: what is requested, carried, and kept in a prediction file.

Names are imported when they are first used, so that help can show the options of a request quickly.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellflow_cli.prediction.file import PredictionFile, is_prediction
    from cellflow_cli.prediction.plan import Prediction, plan_prediction
    from cellflow_cli.prediction.request import PredictionRequest
    from cellflow_cli.prediction.tasks import requested_conditions
    from cellflow_cli.prediction.write import predict, write_prediction

_HOME = {
    "Prediction": "plan",
    "PredictionFile": "file",
    "PredictionRequest": "request",
    "is_prediction": "file",
    "plan_prediction": "plan",
    "predict": "write",
    "requested_conditions": "tasks",
    "write_prediction": "write",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
