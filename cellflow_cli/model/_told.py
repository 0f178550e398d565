"""Whose control population a model is told: the sample's own, or another to see whether it matters."""

from typing import TYPE_CHECKING, Any

import torch

from cellflow_cli.errors import BundleError
from cellflow_cli.types import Population

if TYPE_CHECKING:
    from cellflow_cli.model._model import Model


def label_of(model: "Model", population: Population) -> int:
    """Code of the sample if it was trained on, else -1."""
    known = model.shape.samples
    return known.index(population.name) if population.name in known else -1


def why_blind(model: "Model") -> str:
    """Why the cells of the control population cannot matter to the model, or an empty string."""
    method: Any = model.method
    if method.context_cells:
        return ""
    name = model.config.method.name
    if getattr(method, "embedder", None) is not None:
        return f"`{name}` is told the label of a sample, not its cells"
    return f"`{name}` is told no population, it sees each cell alone"


def training_controls(model: "Model") -> list[Population]:
    """The control populations of the training part, a few hundred cells each.

    Raises:
        BundleError: If the model folder holds none, or not the cell types that the model was told.
    """
    summaries, q = model.summaries, model.shape.n_node_features
    if not len(summaries.cells) or (q and not len(summaries.codes)):
        what = "cell types of them" if len(summaries.cells) else "cells"
        raise BundleError(
            f"Expected some cells of each training population in the model folder, found no {what}. "
            "Train again with this version."
        )
    hot = torch.eye(q)
    return [
        Population(
            sample=summaries.samples[i],
            group=summaries.groups[i],
            cells=summaries.cells_of(i).to(model.device),
            node_features=(
                hot[summaries.codes_of(i)] if q else torch.zeros(len(summaries.cells_of(i)), 0)
            ).to(model.device),
        )
        for i, condition in enumerate(summaries.conditions)
        if condition is None
    ]
