"""The population that a model is conditioned on: the sample's own, or another to test whether it matters."""

import torch

from cellflow_cli.errors import BundleError
from cellflow_cli.prediction.trained_model import TrainedModel
from cellflow_cli.types import Population

CONTEXTS = ("own", "other", "average")


def why_context_is_ignored(model: TrainedModel) -> str:
    """Why the cells of the control population make no difference to the model, or an empty string."""
    needs = model.method.needs.context
    if needs.cells:
        return ""
    if needs.label:
        return f"`{model.method_name}` is conditioned on the label of a sample, not on its cells"
    return f"`{model.method_name}` is not conditioned on the population: it sees each cell alone"


def training_controls(model: TrainedModel) -> list[Population]:
    """The control populations of the training part, a few hundred cells each.

    Raises:
        BundleError: If the model folder holds none, or not the cell types that the model is conditioned on.
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
