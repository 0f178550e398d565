"""The nouns that cross rooms: condition, population, pair of populations, batch, transported cells.

n, m, d, b are cells, target or context cells, features, populations per batch; v and q the
widths of sample covariates and of per-cell node features (either may be zero).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor


@dataclass(frozen=True, order=True)
class Condition:
    """What was done to the cells.

    Attributes:
        treatment: Value of the treatment column; never a control.
        dose: Numeric dose in the unit of the data specification, or None where doses are not used.
    """

    treatment: str
    dose: float | None = None

    @property
    def label(self) -> str:
        """Treatment and dose as short text, such as `"erlotinib 0.5"`."""
        return self.treatment if self.dose is None else f"{self.treatment} {self.dose:g}"


class Moments(NamedTuple):
    """Mean and variance (with n) of each feature over the cells of a population, float64, each shape [d]."""

    mean: Float64[Tensor, " d"]
    variance: Float64[Tensor, " d"]


@runtime_checkable
class StoredPopulation(Protocol):
    """A population whose cells are fetched when they are needed, from memory or from disk.

    Training asks for no more than this: how many cells there are, some of them by number, and their
    moments. `Population` keeps its cells in memory.
    """

    @property
    def sample(self) -> tuple[str, ...]:
        """Values of the sample keys, in their order."""
        ...

    @property
    def group(self) -> str:
        """Unit of holding out (usually the patient)."""
        ...

    @property
    def condition(self) -> Condition | None:
        """What was done, or None for controls."""
        ...

    @property
    def covariates(self) -> Float[Tensor, " v"]:
        """Covariates of the sample (one-hot), shape [v]."""
        ...

    @property
    def name(self) -> str:
        """Sample values joined for people."""
        ...

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        ...

    def draw(self, rows: Int[Tensor, " k"] | None = None) -> "Population":
        """The cells of some rows, in their order, on the device of training; None: all of them."""
        ...

    def moments(self) -> Moments:
        """Mean and variance of each feature over all cells."""
        ...


@dataclass(frozen=True, kw_only=True)
class Population:
    """Cells that share a sample and a treatment: a draw from one distribution, in memory.

    Attributes:
        sample: Values of the sample keys, in their order.
        group: Unit of holding out (usually the patient).
        cells: Cells in the feature space of the flow, float32, shape [n, d].
        condition: What was done, or None for controls.
        node_features: Facts of each cell beside its features (one-hot cell type), shape [n, q].
        covariates: Covariates of the sample that the model is conditioned on (one-hot), shape [v].
    """

    sample: tuple[str, ...]
    group: str
    cells: Float[Tensor, "n d"]
    condition: Condition | None = None
    node_features: Float[Tensor, "n q"] = field(default_factory=lambda: torch.zeros(0, 0))
    covariates: Float[Tensor, " v"] = field(default_factory=lambda: torch.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.node_features):
            object.__setattr__(self, "node_features", self.cells.new_zeros(len(self.cells), 0))

    @property
    def name(self) -> str:
        """Sample values joined for people, such as `"P7 | PDOF"`."""
        return " | ".join(self.sample)

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        return len(self.cells)

    def draw(self, rows: Int[Tensor, " k"] | None = None) -> "Population":
        """The cells of some rows, in their order; None: the population itself."""
        if rows is None:
            return self
        rows = rows.to(self.cells.device)
        return replace(self, cells=self.cells[rows], node_features=self.node_features[rows])

    def moments(self) -> Moments:
        """Mean and variance of each feature over all cells."""
        cells = self.cells.double()
        mean = cells.mean(0)
        return Moments(mean, (cells - mean).square().mean(0))


@dataclass(frozen=True, kw_only=True)
class PopulationPair:
    """A control population and the same sample's treated population.

    Attributes:
        source: Control cells.
        target: Treated cells; `target.condition` is not None.
        pairs: Row indices (source, target) of known cell pairs, each shape [k] and no row twice, or None;
            cells that are in none of them belong to the populations all the same.
    """

    source: StoredPopulation
    target: StoredPopulation
    pairs: tuple[Int[Tensor, " k"], Int[Tensor, " k"]] | None = None

    @property
    def condition(self) -> Condition:
        """What was done to the target."""
        if self.target.condition is None:
            raise ValueError("the target of a pair has no condition")
        return self.target.condition


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """All that a network must know of the data to be built.

    Attributes:
        n_features: d, width of the feature space.
        treatments: Treatments in the order of their codes.
        doses: Doses seen in training per treatment, ascending; empty where doses are not used.
        samples: Training samples in the order of their codes (used by label embedders).
        n_covariates: v, width of the sample covariates.
        n_node_features: q, width of the per-cell node features.
    """

    n_features: int
    treatments: tuple[str, ...]
    doses: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    samples: tuple[str, ...] = ()
    n_covariates: int = 0
    n_node_features: int = 0

    def label_of(self, sample: str) -> int:
        """Code of a sample by its name if it was trained on, else -1."""
        return self.samples.index(sample) if sample in self.samples else -1

    def encode(self, conditions: Sequence[Condition], covariates: Float[Tensor, "b v"]) -> "ConditionBatch":
        """Conditions as tensors on the device of the covariates.

        Args:
            conditions: b conditions with treatments among `treatments`.
            covariates: Sample covariates, shape [b, v].

        Raises:
            ValueError: If a treatment is not among `treatments`.
        """
        codes = [self.treatments.index(condition.treatment) for condition in conditions]
        doses = [math.nan if condition.dose is None else condition.dose for condition in conditions]
        return ConditionBatch(
            torch.tensor(codes, dtype=torch.int64, device=covariates.device),
            torch.tensor(doses, dtype=torch.float32, device=covariates.device),
            covariates,
        )


class ConditionBatch(NamedTuple):
    """Conditions of b populations as tensors.

    Attributes:
        treatment: Codes, positions in `ModelShape.treatments`, int64, shape [b].
        dose: Doses in the unit of the data; NaN where there is none, shape [b].
        covariates: Sample covariates, shape [b, v].
    """

    treatment: Int[Tensor, " b"]
    dose: Float[Tensor, " b"]
    covariates: Float[Tensor, "b v"]


class PopulationBatch(NamedTuple):
    """b whole populations, or equal-size subsamples of them, as an embedder sees them.

    Attributes:
        cells: Shape [b, m, d]; rows where `mask` is False are padding.
        mask: True for real cells, shape [b, m].
        node_features: Shape [b, m, q].
        label: Code of the training sample, -1 for one never trained on, int64, shape [b].
    """

    cells: Float[Tensor, "b m d"]
    mask: Bool[Tensor, "b m"]
    node_features: Float[Tensor, "b m q"]
    label: Int[Tensor, " b"]


class Batch(NamedTuple):
    """One training step: b pairs of populations, n cells each.

    Attributes:
        x0: Source cells, shape [b, n, d].
        x1: Target cells, shape [b, n, d].
        population: Control populations for the embedder.
        condition: Conditions of the targets.
        n_paired: How many of the first rows of `x0` belong to the same rows of `x1` by the data, int64,
            shape [b]; the others are in no order.
    """

    x0: Float[Tensor, "b n d"]
    x1: Float[Tensor, "b n d"]
    population: PopulationBatch
    condition: ConditionBatch
    n_paired: Int[Tensor, " b"]


class Transported(NamedTuple):
    """Cells after transport, at one or several flow times.

    Attributes:
        cells: Where the cells are at each of k times, shape [k, n, d], dtype of the cells that came in.
        n_evaluations: Evaluations of the velocity field (of the map, for static maps).
    """

    cells: Float[Tensor, "k n d"]
    n_evaluations: int

    @property
    def end(self) -> Float[Tensor, "n d"]:
        """Where the cells are at the last time, shape [n, d]."""
        return self.cells[-1]

    @classmethod
    def concatenated(cls, parts: Sequence["Transported"]) -> "Transported":
        """Chunks of one population one after another; of counts the largest chunk's.

        Args:
            parts: One or more, with the same times. Tensors have the cells in their second dimension.
        """
        columns: list[Any] = [
            torch.cat(values, dim=1) if isinstance(values[0], Tensor) else max(values)
            for values in zip(*parts, strict=True)
        ]
        return cls(*columns)
