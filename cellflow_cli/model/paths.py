"""Control cells of a prediction on their way, carried by the model that made it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.model.model import Model
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.prediction.population import control_population
from cellflow_cli.prediction.transport import prepare, transport


class Paths(NamedTuple):
    """Cells on their way, features of the flow.

    Attributes:
        source: Control cells, shape [n, d].
        clouds: Where they are at each of k times, shape [k, n, d]; of a flow from noise, where its draws are.
    """

    source: Float[np.ndarray, "n d"]
    clouds: Float[np.ndarray, "k n d"]


def why_no_paths(file: PredictionFile, pair: Aligned) -> str:
    """Why the cells of a prediction cannot be followed, or an empty string."""
    if file.context != "own":
        return f"the prediction is conditioned on another population (`{file.context}`)"
    if pair.control_in_truth or not len(pair.control):
        return "the prediction holds no control cells; predict without `--no-controls`"
    return ""


def paths(
    model: Model, file: PredictionFile, pair: Aligned, rows: np.ndarray, times: Sequence[float]
) -> Paths:
    """Some control cells of a sample at several flow times; the last of them, at 1, is what was predicted.

    Args:
        model: Made the prediction.
        file: The prediction, with control cells.
        pair: The sample and what is done to it.
        rows: Positions among its controls of the cells that are followed, shape [n].
        times: Ascending, within [0, 1].

    Raises:
        ValueError: If the cells cannot be followed, see `why_no_paths`.
    """
    if why := why_no_paths(file, pair):
        raise ValueError(why)
    population = control_population(model, file, pair.control, pair.group)
    label = model.shape.label_of(population.name)
    prepared = prepare(model.method, population, pair.condition, file.seed, label=label)
    kept = torch.from_numpy(rows).to(population.cells.device)
    moved = transport(model.method, prepared._replace(start=prepared.start[kept]), times=times)
    return Paths(population.cells[kept].cpu().numpy(), moved.cells.cpu().numpy())
