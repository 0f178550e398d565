"""Control cells of a prediction on their way, carried by the model that made it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import anndata
import numpy as np
import torch
from jaxtyping import Float

from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.model._controls import controls_of
from cellflow_cli.model._told import label_of
from cellflow_cli.prediction.trajectory import trajectory

if TYPE_CHECKING:
    from cellflow_cli.model._model import Model


class Paths(NamedTuple):
    """Cells on their way, features of the flow.

    Attributes:
        source: Control cells, shape [n, d].
        clouds: At each time where they are, shapes [n, d]; of a flow from noise, where its draws are.
    """

    source: Float[np.ndarray, "n d"]
    clouds: tuple[Float[np.ndarray, "n d"], ...]


def why_no_paths(predicted: anndata.AnnData, pair: Aligned) -> str:
    """Why the cells of a prediction cannot be followed, or an empty string."""
    told = str(predicted.uns.get("cellflow", {}).get("population", "own"))
    if told != "own":
        return f"the prediction was told another population (`{told}`)"
    if pair.control_in_truth or not len(pair.control):
        return "the prediction holds no control cells; predict without `--no-controls`"
    return ""


def paths(
    model: "Model", predicted: anndata.AnnData, pair: Aligned, kept: np.ndarray, times: Sequence[float]
) -> Paths:
    """Some control cells of a sample at several flow times; the last of them, at 1, is what was predicted.

    Args:
        model: Made the prediction.
        predicted: Its output, with control cells; reads X, `obsm["X_pca"]`, obs and `uns["cellflow"]`.
        pair: The sample and what is done to it.
        kept: Positions among its controls of the cells that are followed, shape [n].
        times: Ascending, within [0, 1].

    Raises:
        ValueError: If the prediction does not tell, see `why_no_paths`.
    """
    if why := why_no_paths(predicted, pair):
        raise ValueError(why)
    population = controls_of(model, predicted, pair)
    seed, label = int(predicted.uns["cellflow"].get("seed", 0)), label_of(model, population)
    clouds = trajectory(
        model.method, population, pair.condition, model.config.solver, times, seed, label,
        torch.from_numpy(kept),
    )  # fmt: skip
    source = population.cells[torch.from_numpy(kept).to(population.cells.device)]
    return Paths(source.cpu().numpy(), tuple(cells.cpu().numpy() for cells in clouds))
