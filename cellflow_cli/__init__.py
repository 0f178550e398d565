"""Predict how the cells of an unseen patient respond to a treatment, from their untreated cells.

The library behind the command `cellflow`:

    import cellflow_cli as cf
    model = cf.train(adata, cf.DataSpec(treatment_key="treatment", control="DMSO", sample_key="patient"))
    predicted = model.predict(new_adata)
    scores = cf.evaluate(predicted, truth)

Names are imported when they are first used, so that `import cellflow_cli` stays quick.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import anndata
    import torch

    from cellflow_cli._version import __version__
    from cellflow_cli.catalog import Choice
    from cellflow_cli.config import RunConfig
    from cellflow_cli.data.read import read
    from cellflow_cli.data.renaming import rename
    from cellflow_cli.data.schema import DataSpec
    from cellflow_cli.evaluation.config import EvaluationConfig
    from cellflow_cli.evaluation.evaluate import evaluate
    from cellflow_cli.evaluation.result import Scores
    from cellflow_cli.external.file_format import ExternalFormat
    from cellflow_cli.external.read import read_external
    from cellflow_cli.flow.ode import SolverConfig
    from cellflow_cli.model import Model, load
    from cellflow_cli.prediction import PredictionRequest
    from cellflow_cli.training.config import TrainingConfig

_HOME = {
    "Choice": "catalog:Choice",
    "DataSpec": "data.schema:DataSpec",
    "EvaluationConfig": "evaluation.config:EvaluationConfig",
    "ExternalFormat": "external.file_format:ExternalFormat",
    "Model": "model:Model",
    "PredictionRequest": "prediction:PredictionRequest",
    "RunConfig": "config:RunConfig",
    "Scores": "evaluation.result:Scores",
    "SolverConfig": "flow.ode:SolverConfig",
    "TrainingConfig": "training.config:TrainingConfig",
    "__version__": "_version:__version__",
    "evaluate": "evaluation.evaluate:evaluate",
    "load": "model:load",
    "read": "data.read:read",
    "read_external": "external.read:read_external",
    "rename": "data.renaming:rename",
}

__all__ = [
    "Choice",
    "DataSpec",
    "EvaluationConfig",
    "ExternalFormat",
    "Model",
    "PredictionRequest",
    "RunConfig",
    "Scores",
    "SolverConfig",
    "TrainingConfig",
    "__version__",
    "evaluate",
    "load",
    "read",
    "read_external",
    "rename",
    "train",
]


def train(
    adata: "anndata.AnnData",
    data: "DataSpec | RunConfig",
    *,
    method: "str | Mapping[str, Any] | Choice" = "mfm",
    training: "TrainingConfig | None" = None,
    seed: int = 0,
    device: "str | torch.device" = "auto",
    max_time_s: float | None = None,
) -> "Model":
    """Learn from the control and treated populations of many patients; see `cellflow_cli.model.train`.

    Args:
        adata: Reads what the data specification names; not modified.
        data: What the columns mean and what is held out; or all settings of a run, and then `method`,
            `training` and `seed` are those.
        method: Catalog name, a table of settings such as `{"name": "mfm", "embedder": {"name": "mean"}}`, or
            a `Choice` with a config of its own.
        training: Steps, rates, validation.
        seed: Of everything random.
        device: `"auto"`, `"cpu"`, `"cuda"`, ...
        max_time_s: Stop learning after this many seconds and keep the best so far.

    Raises:
        DataError, ConfigError: If data and settings do not fit.
        NumericalError: If the loss is not finite.
    """
    from cellflow_cli.config import RunConfig, from_dict
    from cellflow_cli.model import train
    from cellflow_cli.training.config import TrainingConfig

    run = data
    if not isinstance(run, RunConfig):
        settings = {"data": data, "method": method, "training": training or TrainingConfig(), "seed": seed}
        run = from_dict(settings)
    return train(adata, run, device=device, max_time_s=max_time_s)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name].split(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
