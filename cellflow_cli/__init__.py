"""Predict how the cells of an unseen patient respond to a treatment, from their untreated cells.

The library behind the command `cellflow`:

    import cellflow_cli as cf
    model = cf.train(adata, cf.DataSpec(treatment_key="treatment", control="DMSO", sample_key="patient"))
    predicted = model.predict(new_adata)
    scores = cf.evaluate(predicted, truth)

Names are imported when they are first used, so that `import cellflow_cli` stays quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellflow_cli._version import __version__
    from cellflow_cli.catalog import Choice
    from cellflow_cli.data.read import read
    from cellflow_cli.data.schema import DataSpec
    from cellflow_cli.evaluation.config import EvaluationConfig
    from cellflow_cli.evaluation.evaluate import evaluate
    from cellflow_cli.evaluation.result import Scores
    from cellflow_cli.external.external_format import Conventions
    from cellflow_cli.external.read import adopt
    from cellflow_cli.flow.ode import SolverConfig
    from cellflow_cli.model import Model, PredictionRequest, load, train
    from cellflow_cli.training.loop import TrainingConfig

_HOME = {
    "Choice": ("catalog", "Choice"),
    "Conventions": ("external.external_format", "Conventions"),
    "DataSpec": ("data.schema", "DataSpec"),
    "EvaluationConfig": ("evaluation.config", "EvaluationConfig"),
    "Model": ("model", "Model"),
    "PredictionRequest": ("model", "PredictionRequest"),
    "Scores": ("evaluation.result", "Scores"),
    "SolverConfig": ("flow.ode", "SolverConfig"),
    "TrainingConfig": ("training.loop", "TrainingConfig"),
    "__version__": ("_version", "__version__"),
    "adopt": ("external.read", "adopt"),
    "evaluate": ("evaluation.evaluate", "evaluate"),
    "load": ("model", "load"),
    "read": ("data.read", "read"),
    "train": ("model", "train"),
}

__all__ = [
    "Choice",
    "Conventions",
    "DataSpec",
    "EvaluationConfig",
    "Model",
    "PredictionRequest",
    "Scores",
    "SolverConfig",
    "TrainingConfig",
    "__version__",
    "adopt",
    "evaluate",
    "load",
    "read",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
