"""The control cells that a prediction holds, as the population that its model was told."""

from typing import TYPE_CHECKING

import anndata
import numpy as np
import torch

from cellflow_cli.data.blocks import dense
from cellflow_cli.data.columns import labels
from cellflow_cli.data.populations import PopulationRows
from cellflow_cli.data.tensors import PopulationReader
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.types import Population

if TYPE_CHECKING:
    from cellflow_cli.model._model import Model


def controls_of(model: "Model", predicted: anndata.AnnData, pair: Aligned) -> Population:
    """All control cells of a sample, in the space of the flow.

    Args:
        model: Made the prediction.
        predicted: Its output; reads X, `obsm["X_pca"]` and obs.
        pair: A condition of the sample; its `control` are rows of the prediction.
    """
    spec, rows = model.config.data, pair.control
    matched = [str(labels(predicted.obs[key].iloc[rows[:1]])[0]) for key in spec.sample_key]
    found = PopulationRows(sample=tuple(matched), group=pair.group, rows=rows)
    reader = PopulationReader(
        adata=predicted,
        spec=spec,
        transform=model.transform,
        vocabulary=model.vocabulary,
        device=model.device,
    )
    cells = dense((predicted.obsm["X_pca"] if model.transform.kind == "pca" else predicted.X)[rows])
    return Population(
        sample=found.sample,
        group=found.group,
        cells=torch.as_tensor(np.asarray(cells, dtype=np.float32), device=model.device),
        node_features=reader.node_features(found),
        covariates=reader.covariates(found),
    )
