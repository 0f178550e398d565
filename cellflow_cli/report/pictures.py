"""What the figures show of the cells: a plane, and how features move; read from prediction and truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import anndata
import numpy as np
from jaxtyping import Float, Int

from cellflow_cli import rng
from cellflow_cli.data.blocks import dense
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import DataError
from cellflow_cli.evaluation.align import Aligned, align
from cellflow_cli.evaluation.floor import some
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.report._moves import N_MARGINALS, Marginal, Move, Moves, marginal, moves
from cellflow_cli.report._plane import Plane, fit_plane

MAX_POINTS = 1_000
_ALL_POINTS = 120_000  # in the page, 4 bytes each and a third more as text
_READ = 2_500  # cells that means and marginals are taken over

Points = Float[np.ndarray, "n 2"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Picture:
    """One population in the plane, and its features.

    Attributes:
        sample, condition: Names, the condition with its dose.
        control, predicted, measured: Cells in the plane, shapes [k, 2], [n, 2], [m, 2].
        moves: Which features change, and how much of the change a few of them hold.
        marginals: Distributions of the features that change most.
    """

    sample: str
    condition: str
    control: Points
    predicted: Points
    measured: Points
    moves: Moves
    marginals: tuple[Marginal, ...]

    @property
    def title(self) -> str:
        """Sample and condition."""
        return f"{self.sample}, {self.condition}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Pictures:
    """All populations in one plane.

    Attributes:
        axes: Titles of the two axes.
        basis: How the plane was found, in a sentence.
        unit: Space of the features that move, in words.
        populations: By sample and condition.
        plane: What their points were projected with; None if that is not known.
    """

    axes: tuple[str, str]
    basis: str
    unit: str
    populations: tuple[Picture, ...]
    plane: Plane | None = None


class _Read(NamedTuple):
    """Cells of one role: features of the flow and genes."""

    flow: Float[np.ndarray, "n d"]
    genes: Float[np.ndarray, "n g"]

    def where(self, keep: np.ndarray) -> "_Read":
        return _Read(self.flow[keep], self.genes[keep])


class _Population(NamedTuple):
    """What is kept of one population until the plane is known."""

    pair: Aligned
    control: Float[np.ndarray, "k d"]
    predicted: Float[np.ndarray, "n d"]
    measured: Float[np.ndarray, "m d"]
    moves: Moves
    marginals: tuple[Marginal, ...]


def read_pictures(
    predicted: anndata.AnnData,
    truth: anndata.AnnData,
    *,
    transform: FeatureTransform | None = None,
    n_points: int = MAX_POINTS,
    seed: int = 0,
) -> Pictures:
    """Points and marginals of every population that was both predicted and measured.

    The plane is that of the first two principal components of the control and measured cells of all
    populations, features of the flow divided by their training spread unless they are components;
    predicted cells are projected into it and have no say in it. With many populations fewer points
    of each are kept, so that a page of them stays small.

    Args:
        predicted: Output of `cellflow predict`; reads X, `obsm["X_pca"]`, obs and `uns["cellflow"]`.
        truth: Measured cells as the training data were given.
        transform: Of the model; default: the one stored in the prediction.
        n_points: Most points of each of control, predicted and measured.
        seed: For the subsamples.

    Raises:
        DataError: If the prediction holds no transform, or as `align` and `PredictionFile.read`.
    """
    provenance = PredictionFile.read(predicted)
    transform = transform or provenance.transform
    if transform is None:
        raise DataError("Expected a transform in the prediction, found none. Name the model with `--model`.")
    pairs = align(predicted.obs, truth.obs, provenance.spec).pairs
    n = max(50, min(n_points, _ALL_POINTS // (3 * len(pairs))))
    reader = _Reader(predicted, truth, transform, seed)
    found = [reader.population(pair, n) for pair in pairs]
    plane = _plane(found, transform)
    return Pictures(
        axes=plane.axes,
        basis=_basis(plane, transform),
        unit=transform.unit,
        populations=tuple(_picture(population, plane) for population in found),
        plane=plane,
    )


class _Reader:
    """Cells of both files; the controls of a sample are read once."""

    def __init__(
        self, predicted: anndata.AnnData, truth: anndata.AnnData, transform: FeatureTransform, seed: int
    ) -> None:
        self._predicted, self._truth, self._transform, self._seed = predicted, truth, transform, seed
        self._sample: tuple[str, ...] | None = None
        self._control = _Read(np.empty((0, 0)), np.empty((0, 0)))

    def population(self, pair: Aligned, n: int) -> _Population:
        """What one population shows, with n cells of each role for the plane."""
        if pair.sample != self._sample:  # pairs come sorted by sample
            of = self._measured if pair.control_in_truth else self._of_prediction
            self._control, self._sample = of(self._some(pair.control, pair.name, "control")), pair.sample
        label = pair.condition.label
        predicted = self._of_prediction(self._some(pair.predicted, pair.name, label, "predicted"))
        measured = self._measured(self._some(pair.target, pair.name, label, "measured"))
        three = (self._control.genes, predicted.genes, measured.genes)
        changed = moves(*three, names=self._transform.genes)
        shown = [self._marginal(move, three) for move in changed.moves[:N_MARGINALS]]
        cells = (self._control.flow[:n], predicted.flow[:n], measured.flow[:n])
        return _Population(pair, *cells, changed, tuple(shown))

    def _marginal(self, move: Move, three: Sequence[np.ndarray]) -> Marginal:
        at = self._transform.genes.index(move.feature)
        return marginal(move.feature, *(cells[:, at] for cells in three))

    def _some(self, rows: Int[np.ndarray, " n"], *names: str) -> Int[np.ndarray, " k"]:
        return some(rows, _READ, rng.stream(self._seed, "report", *names))

    def _of_prediction(self, rows: Int[np.ndarray, " n"]) -> _Read:
        genes = np.asarray(dense(self._predicted.X[rows]), dtype=np.float32)
        flow = genes
        if self._transform.kind == "pca":
            flow = np.asarray(dense(self._predicted.obsm["X_pca"][rows]), dtype=np.float32)
        return _finite(_Read(flow, genes))

    def _measured(self, rows: Int[np.ndarray, " n"]) -> _Read:
        flow = self._transform.apply(self._truth, rows)
        return _finite(_Read(flow, self._transform.expression(self._truth, rows)))


def _finite(cells: _Read) -> _Read:
    """Without cells that are not numbers; metrics report those."""
    return cells.where(np.isfinite(cells.flow).all(1) & np.isfinite(cells.genes).all(1))


def _plane(found: Sequence[_Population], transform: FeatureTransform) -> Plane:
    scale = np.ones(transform.n_features)
    if transform.kind != "pca":
        scale = np.where(np.asarray(transform.scale) > 0, transform.scale, 1.0)
    seen, clouds = set(), []
    for population in found:
        clouds.append(population.measured)
        if population.pair.sample not in seen:
            seen.add(population.pair.sample)
            clouds.append(population.control)
    return fit_plane(np.concatenate(clouds), scale, transform.names)


def _picture(population: _Population, plane: Plane) -> Picture:
    return Picture(
        sample=population.pair.name,
        condition=population.pair.condition.label,
        control=plane.project(population.control),
        predicted=plane.project(population.predicted),
        measured=plane.project(population.measured),
        moves=population.moves,
        marginals=population.marginals,
    )


def _basis(plane: Plane, transform: FeatureTransform) -> str:
    if not plane.is_pca:
        return "The axes are the features of the flow."
    scaled = "" if transform.kind == "pca" else ", each divided by its training spread"
    return (
        f"Principal components of the control and measured cells ({transform.n_features} features of the "
        f"flow{scaled}); predicted cells are projected and have no say in the axes."
    )
