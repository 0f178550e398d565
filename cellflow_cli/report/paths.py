"""The paths of the populations that the static figures show, in the plane of the pictures."""

from typing import NamedTuple

import anndata
import numpy as np

from cellflow_cli import rng
from cellflow_cli.evaluation.align import Aligned, align
from cellflow_cli.evaluation.floor import some
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.model import Model, paths, why_no_paths
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.report._plane import Plane
from cellflow_cli.report._story import shown
from cellflow_cli.report.flow_figure import TIMES, PopulationFlow
from cellflow_cli.report.pictures import MAX_POINTS, Picture, Pictures


class Flows(NamedTuple):
    """Populations on their way.

    Attributes:
        populations: Of the static figures, one row each.
        reason: Why there are none; empty if there are.
    """

    populations: tuple[PopulationFlow, ...] = ()
    reason: str = ""


def read_flows(
    scores: Scores,
    pictures: Pictures,
    model: Model,
    predicted: anndata.AnnData,
    truth: anndata.AnnData,
    *,
    n_cells: int = MAX_POINTS,
    seed: int = 0,
) -> Flows:
    """Control cells of the populations of the static figures, carried by the model.

    Args:
        scores: Tell which populations are the best, the median and the worst predicted one.
        pictures: From `read_pictures` on the same files.
        model: Made the prediction.
        predicted: Its output; reads X, `obsm["X_pca"]`, obs and `uns["cellflow"]`.
        truth: Measured cells; reads obs.
        n_cells: Most cells of each population that are followed.
        seed: Draws them.
    """
    if pictures.plane is None:
        raise ValueError("expected pictures with the plane of their points")
    pairs = {
        (pair.name, pair.condition.label): pair
        for pair in align(predicted.obs, truth.obs, model.config.data).pairs
    }
    chosen = [(one, pairs[one.sample, one.condition]) for one in shown(scores, pictures)]
    file = PredictionFile.read(predicted)
    if reasons := [why for _, pair in chosen if (why := why_no_paths(file, pair))]:
        return Flows(reason=reasons[0])
    return Flows(tuple(_flow(one, pair, pictures.plane, model, file, n_cells, seed) for one, pair in chosen))


def _flow(
    one: Picture, pair: Aligned, plane: Plane, model: Model, file: PredictionFile, n: int, seed: int
) -> PopulationFlow:
    kept = some(np.arange(len(pair.control)), n, rng.stream(seed, "report", pair.name, "paths"))
    found = paths(model, file, pair, kept, TIMES)
    return PopulationFlow(
        title=one.title,
        source=plane.project(found.source),
        target=one.measured,
        flows={model.config.method.name: [plane.project(cloud) for cloud in found.clouds]},
    )
