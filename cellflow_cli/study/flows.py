"""Where the variants of a comparison move the cells of one sample of each part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anndata
import numpy as np
import torch
from jaxtyping import Float

from cellflow_cli.data.populations import PopulationRows, population_table
from cellflow_cli.data.read import read
from cellflow_cli.data.tensors import PopulationReader
from cellflow_cli.errors import ConfigError
from cellflow_cli.model import Model, load
from cellflow_cli.prediction.transport import prepare, transport
from cellflow_cli.study.folds import TRAINING, Fold, marks
from cellflow_cli.study.job import MODEL_FOLDER, finished
from cellflow_cli.study.study import Study

Points = Float[np.ndarray, "n 2"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Flow:
    """One sample under one condition as every variant moves it, in the plane.

    Attributes:
        title: Part, sample and condition.
        source, target: Control and measured treated cells, shapes [n, 2] and [m, 2].
        variants: For each variant its cells at each time, shapes [n, 2].
    """

    title: str
    source: Points
    target: Points
    variants: dict[str, list[Points]]


def flows(study: Study, times: Sequence[float]) -> list[Flow]:
    """The first scored population of each part, moved by the models of the first fold and seed that has any.

    More than two features are seen along the first two principal components of the sample's control and
    treated cells together.

    Args:
        study: Some of its jobs are done.
        times: Flow times, ascending, within [0, 1].

    Raises:
        ConfigError: If no job is done.
    """
    done = [job for job in study.jobs() if finished(job.folder)]
    if not done:
        raise ConfigError(f"Expected finished jobs in `{study.folder}`, found none to draw.")
    order = [fold.name for fold in study.folds]
    first = min(done, key=lambda job: (job.seed, order.index(job.fold.name)))
    fold, same = first.fold, (first.fold.name, first.seed)
    models = {
        job.variant.name: load(job.folder / MODEL_FOLDER) for job in done if (job.fold.name, job.seed) == same
    }
    adata = read(study.data, fold.spec.features)
    return [_flow(models, adata, fold, part, names, times) for part, names in fold.scored]


def _flow(
    models: dict[str, Model],
    adata: anndata.AnnData,
    fold: Fold,
    part: str,
    names: Sequence[str],
    times: Sequence[float],
) -> Flow:
    control, treated = _population(adata, fold, part, names)
    reader = _reader(next(iter(models.values())), adata)
    source, target = reader.population(control).cells.numpy(), reader.population(treated).cells.numpy()
    plane = _plane(np.concatenate([source, target]))
    condition = treated.condition
    assert condition is not None  # a treated population has one
    moved = {}
    for name, model in models.items():
        population = _reader(model, adata).population(control)
        label = model.shape.label_of(population.name)
        prepared = prepare(model.method, population, condition, 0, label=label)
        moved[name] = transport(model.method, prepared, times=times).cells
    return Flow(
        title=f"{part}: {control.name}, {condition.label}",
        source=plane(source),
        target=plane(target),
        variants={name: [plane(cells.numpy()) for cells in path] for name, path in moved.items()},
    )


def _population(
    adata: anndata.AnnData, fold: Fold, part: str, names: Sequence[str]
) -> tuple[PopulationRows, PopulationRows]:
    """Rows of the first treated population of a part and of its control."""
    table = population_table(adata.obs, fold.spec)
    marked = np.ones(adata.n_obs, dtype=bool)
    if part == TRAINING and fold.training_column is not None:
        marked = np.asarray(marks(adata.obs, fold.training_column))
    treated = next(
        p
        for p in table.treated
        if p.group == names[0] and marked[p.rows].all() and (p.group, p.condition) not in fold.untrained
    )
    return table.source_of(treated), treated


def _reader(model: Model, adata: anndata.AnnData) -> PopulationReader:
    return PopulationReader(
        adata=adata, spec=model.config.data, transform=model.transform, vocabulary=model.vocabulary,
        device=torch.device("cpu"),
    )  # fmt: skip


def _plane(cells: Float[np.ndarray, "n d"]) -> Callable[[Float[np.ndarray, "m d"]], Points]:
    """The plane of two features, or of the first two principal components of the cells; a line of one."""
    if cells.shape[1] == 2:
        return lambda points: points
    if cells.shape[1] == 1:
        return lambda points: np.column_stack([points, np.zeros_like(points)])
    centre = cells.mean(0)
    axes = np.linalg.svd(cells - centre, full_matrices=False)[2][:2]
    return lambda points: (points - centre) @ axes.T
