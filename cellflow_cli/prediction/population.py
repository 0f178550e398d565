"""The control cells that a prediction holds, as the population that its model was conditioned on."""

import numpy as np
import torch

from cellflow_cli.data.columns import labels
from cellflow_cli.data.populations import PopulationRows
from cellflow_cli.data.tensors import PopulationReader
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.prediction.trained_model import TrainedModel
from cellflow_cli.types import Population


def control_population(model: TrainedModel, file: PredictionFile, rows: np.ndarray, group: str) -> Population:
    """All control cells of a sample, in the space of the flow.

    Args:
        model: Made the prediction.
        file: The prediction.
        rows: Its rows with the control cells of the sample, shape [n].
        group: Of the sample.
    """
    obs = file.adata.obs
    sample = tuple(str(labels(obs[key].iloc[rows[:1]])[0]) for key in model.spec.sample_key)
    reader = PopulationReader(
        adata=file.adata,
        spec=model.spec,
        transform=model.transform,
        vocabulary=model.vocabulary,
        device=model.device,
    )
    where = PopulationRows(sample=sample, group=group, rows=rows)
    return Population(
        sample=sample,
        group=group,
        cells=torch.as_tensor(file.flow(rows), device=model.device),
        node_features=reader.node_features(where),
        covariates=reader.covariates(where),
    )
