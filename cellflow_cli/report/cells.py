"""Cells of the scored populations as the page shows them: projected, and by the features that change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import anndata
import numpy as np
from jaxtyping import Float, Int

from cellflow_cli import rng
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.floor import subsample
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.statistics.feature_changes import (
    FeatureChanges,
    Marginal,
    feature_changes,
    marginals,
)

MAX_POINTS = 1_000
_ALL_POINTS = 120_000  # in the page, 4 bytes each and a third more as text
_MIN_POINTS = 50
_READ = 2_500  # cells that means and marginals are taken over

Points = Float[np.ndarray, "n 2"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Projection:
    """An affine map to two coordinates.

    Attributes:
        centre: Subtracted first, shape [d].
        scale: Divided by next, shape [d].
        directions: Columns to project on, shape [d, 2].
        axes: Titles.
        is_pca: Whether the directions are principal components.
    """

    centre: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    directions: Float[np.ndarray, "d 2"]
    axes: tuple[str, str]
    is_pca: bool

    def project(self, cells: Float[np.ndarray, "n d"]) -> Points:
        """Projected cells, float32, shape [n, 2]."""
        return ((cells - self.centre) / self.scale @ self.directions).astype(np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class PlottedPopulation:
    """One population: projected cells, and its features.

    Attributes:
        sample, condition: Names, the condition with its dose.
        control, predicted, measured: Projected cells, shapes [k, 2], [n, 2], [m, 2].
        changes: Which features change, and how much of the change a few of them hold.
        marginals: Distributions of the features that change most.
    """

    sample: str
    condition: str
    control: Points
    predicted: Points
    measured: Points
    changes: FeatureChanges
    marginals: tuple[Marginal, ...]

    @property
    def title(self) -> str:
        """Sample and condition."""
        return f"{self.sample}, {self.condition}"

    @property
    def key(self) -> tuple[str, str]:
        """Sample and condition apart."""
        return self.sample, self.condition

    @property
    def roles(self) -> dict[str, Points]:
        """Projected cells by role, in the order of legends."""
        return {"control": self.control, "measured": self.measured, "predicted": self.predicted}


@dataclass(frozen=True, eq=False, kw_only=True)
class PlottedCells:
    """All populations in one projection.

    Attributes:
        projection: Of the cells.
        basis: How it was found, in a sentence.
        unit: Unit of the features that change, in words.
        populations: By sample and condition.
    """

    projection: Projection
    basis: str
    unit: str
    populations: tuple[PlottedPopulation, ...]


class _Cells(NamedTuple):
    """Cells of one role: features of the flow and genes."""

    flow: Float[np.ndarray, "n d"]
    genes: Float[np.ndarray, "n g"]


class _Population(NamedTuple):
    """What is kept of one population until the projection is known."""

    pair: Aligned
    control: Float[np.ndarray, "k d"]
    predicted: Float[np.ndarray, "n d"]
    measured: Float[np.ndarray, "m d"]
    changes: FeatureChanges
    marginals: tuple[Marginal, ...]


def read_cells(
    file: PredictionFile,
    truth: anndata.AnnData,
    pairs: Sequence[Aligned],
    *,
    max_points: int = MAX_POINTS,
    seed: int = 0,
) -> PlottedCells:
    """Points and marginals of every population that was both predicted and measured.

    They are projected on the first two principal components of the control and measured cells of all
    populations, features of the flow divided by their training spread unless they share a unit;
    predicted cells have no influence on the components. With many populations fewer points of each
    are kept, so that a page of them stays small.

    Args:
        file: The prediction.
        truth: Measured cells as the training data were given.
        pairs: Populations of both, sorted by sample.
        max_points: Maximum points of each of control, predicted and measured.
        seed: For the subsamples.

    Raises:
        DataError: If the prediction holds no feature transform.
    """
    n = max(_MIN_POINTS, min(max_points, _ALL_POINTS // (3 * len(pairs))))
    populations, control = [], _Cells(np.empty((0, 0)), np.empty((0, 0)))
    for i, pair in enumerate(pairs):
        if i == 0 or pair.sample != pairs[i - 1].sample:  # the controls of a sample are read once
            control = _control(file, truth, pair, seed)
        populations.append(_population(file, truth, pair, control, n, seed))
    projection = _fit(populations, file)
    return PlottedCells(
        projection=projection,
        basis=_basis(projection, file),
        unit=file.features.unit,
        populations=tuple(_projected(population, projection) for population in populations),
    )


def fit_projection(
    cells: Float[np.ndarray, "n d"], scale: Float[np.ndarray, " d"], names: Sequence[str]
) -> Projection:
    """One or two features as they are, or the first two principal components.

    The sign of a component is chosen so that its largest entry is positive: the same cells give the
    same figure on every machine.

    Args:
        cells: Shape [n, d].
        scale: Features are divided by it before components are found, shape [d].
        names: Of the features.
    """
    d = cells.shape[1]
    if d <= 2:
        axes = (names[0], names[1] if d == 2 else "")
        return Projection(
            centre=np.zeros(d), scale=np.ones(d), directions=np.eye(d, 2), axes=axes, is_pca=False
        )
    centre = cells.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(((cells - centre) / scale).T))
    directions = vectors[:, [-1, -2]]
    directions = directions * np.sign(directions[np.abs(directions).argmax(0), [0, 1]])
    total = max(float(values.sum()), np.finfo(float).tiny)
    first, second = (
        f"component {i} ({100 * v / total:.0f} % of variance)" for i, v in ((1, values[-1]), (2, values[-2]))
    )
    return Projection(centre=centre, scale=scale, directions=directions, axes=(first, second), is_pca=True)


def _population(
    file: PredictionFile, truth: anndata.AnnData, pair: Aligned, control: _Cells, n: int, seed: int
) -> _Population:
    """One population, with n cells of each role for the projection."""
    names = pair.name, pair.condition.label
    predicted = _predicted(file, _some(pair.predicted, seed, *names, "predicted"))
    measured = _measured(file, truth, _some(pair.target, seed, *names, "measured"))
    genes = (control.genes, predicted.genes, measured.genes)
    changes = feature_changes(*genes, names=file.features.genes)
    return _Population(
        pair=pair,
        control=control.flow[:n],
        predicted=predicted.flow[:n],
        measured=measured.flow[:n],
        changes=changes,
        marginals=marginals(changes, *genes, names=file.features.genes),
    )


def _control(file: PredictionFile, truth: anndata.AnnData, pair: Aligned, seed: int) -> _Cells:
    rows = _some(pair.control, seed, pair.name, "control")
    return _measured(file, truth, rows) if pair.control_in_truth else _predicted(file, rows)


def _some(rows: Int[np.ndarray, " n"], seed: int, *names: str) -> Int[np.ndarray, " k"]:
    return subsample(rows, _READ, rng.stream(seed, "report", *names))


def _predicted(file: PredictionFile, rows: Int[np.ndarray, " n"]) -> _Cells:
    return _finite(file.flow(rows), file.expression(rows))


def _measured(file: PredictionFile, truth: anndata.AnnData, rows: Int[np.ndarray, " n"]) -> _Cells:
    return _finite(file.features.apply(truth, rows), file.features.expression(truth, rows))


def _finite(flow: Float[np.ndarray, "n d"], genes: Float[np.ndarray, "n g"]) -> _Cells:
    """Without cells that are not numbers; metrics report those."""
    keep = np.isfinite(flow).all(1) & np.isfinite(genes).all(1)
    return _Cells(flow[keep], genes[keep])


def _fit(populations: Sequence[_Population], file: PredictionFile) -> Projection:
    seen, clouds = set(), []
    for population in populations:
        clouds.append(population.measured)
        if population.pair.sample not in seen:
            seen.add(population.pair.sample)
            clouds.append(population.control)
    return fit_projection(np.concatenate(clouds), file.features.scale, file.features.names)


def _projected(population: _Population, projection: Projection) -> PlottedPopulation:
    return PlottedPopulation(
        sample=population.pair.name,
        condition=population.pair.condition.label,
        control=projection.project(population.control),
        predicted=projection.project(population.predicted),
        measured=projection.project(population.measured),
        changes=population.changes,
        marginals=population.marginals,
    )


def _basis(projection: Projection, file: PredictionFile) -> str:
    if not projection.is_pca:
        return "The axes are the features of the flow."
    scaled = ", each divided by its training spread" if file.features.has_scale else ""
    return (
        f"Principal components of the control and measured cells ({file.features.n_features} features of the "
        f"flow{scaled}); predicted cells are projected on them and do not influence them."
    )
