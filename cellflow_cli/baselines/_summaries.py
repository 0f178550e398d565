"""What baselines know of the training part: moments and a few cells of each population."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.baselines._types import TypeMeans, type_means
from cellflow_cli.data.profile import Profiles
from cellflow_cli.plain import Plain, PlainError, array
from cellflow_cli.types import Condition, PopulationPair, StoredPopulation

_FORMAT = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Summaries:
    """Training populations in short, p of them, controls before treated; feature space of the flow.

    Attributes:
        samples: Sample values of each population.
        groups: Group of each population.
        conditions: Condition of each population, None for controls.
        source: Position of the control population of each treated one, -1 for controls, shape [p].
        n_cells: Cells that mean and spread were taken over, shape [p].
        mean, std: Moments per feature (std with n - 1), float64, shape [p, d].
        scale: Training spread per feature, by which metrics may divide, float64, shape [d].
        cells: Some cells of each population one after another, float32, shape [sum of k, d]; none
            in a light version.
        offsets: Cells of population i are rows `offsets[i]` to `offsets[i + 1]`, shape [p + 1].
        types: Means per cell type; None where the training data named no types.
        codes: Position in `types.names` of the type of each kept cell, shape [s]; none where there are no
            types, or in a light version.
        profiles: Of the training controls as genes or markers; None where an older version trained.
    """

    samples: tuple[tuple[str, ...], ...]
    groups: tuple[str, ...]
    conditions: tuple[Condition | None, ...]
    source: Int[Tensor, " p"]
    n_cells: Int[Tensor, " p"]
    mean: Float[Tensor, "p d"]
    std: Float[Tensor, "p d"]
    scale: Float[Tensor, " d"]
    cells: Float[Tensor, "s d"]
    offsets: Int[Tensor, " p1"]
    types: TypeMeans | None = None
    codes: Int[Tensor, " s"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    profiles: Profiles | None = None

    def __post_init__(self) -> None:
        p, d = self.mean.shape
        lengths = {
            len(self.samples),
            len(self.groups),
            len(self.conditions),
            len(self.source),
            len(self.n_cells),
        }
        if (
            lengths != {p}
            or self.std.shape != (p, d)
            or self.scale.shape != (d,)
            or len(self.offsets) != p + 1
            or (self.types is not None and self.types.mean.shape[::2] != (p, d))
            or len(self.codes) not in (0, len(self.cells))
        ):
            raise ValueError("summaries of different numbers of populations or features")

    @property
    def treated(self) -> tuple[int, ...]:
        """Positions of the treated populations."""
        return tuple(i for i, condition in enumerate(self.conditions) if condition is not None)

    @property
    def training_groups(self) -> tuple[str, ...]:
        """Groups that were trained on, sorted."""
        return tuple(sorted(set(self.groups)))

    def codes_of(self, position: int) -> Int[Tensor, " k"]:
        """Types of the cells of `cells_of`, shape [k]; none where they are not known."""
        return self.codes[int(self.offsets[position]) : int(self.offsets[position + 1])]

    def cells_of(self, position: int) -> Float[Tensor, "k d"]:
        """The kept cells of one population, shape [k, d]; none in a light version."""
        return self.cells[int(self.offsets[position]) : int(self.offsets[position + 1])]

    def spread(self) -> Float[Tensor, " d"]:
        """Standard deviation per feature over all training populations, equally weighted, shape [d]."""
        between = self.mean.var(0, correction=0)
        return (self.std.square().mean(0) + between).sqrt()

    def light(self) -> "Summaries":
        """The same without cells: small enough to travel inside a prediction file."""
        none = torch.zeros_like(self.offsets)
        return replace(self, cells=self.cells[:0], codes=self.codes[:0], offsets=none)

    def to_json(self) -> dict[str, Any]:
        """Names and conditions, for a JSON file; the numbers are in `arrays`."""
        return {
            "format": _FORMAT,
            "samples": [list(sample) for sample in self.samples],
            "groups": list(self.groups),
            "conditions": [
                None if c is None else {"treatment": c.treatment, "dose": c.dose} for c in self.conditions
            ],
            **({} if self.types is None else {"cell_types": list(self.types.names)}),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name. A light version leaves out `cells` and `offsets`."""
        names = (
            "source",
            "n_cells",
            "mean",
            "std",
            "scale",
            *(("cells", "offsets") if len(self.cells) else ()),
            *(("codes",) if len(self.codes) else ()),
        )
        own = {name: getattr(self, name).numpy().copy() for name in names}
        own |= {} if self.profiles is None else self.profiles.arrays()
        return own if self.types is None else {**own, **self.types.arrays()}

    @classmethod
    def empty(cls, n_features: int) -> "Summaries":
        """Summaries of no population, for where the training part is not known."""
        rows, none = torch.zeros(0, n_features, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
        return cls(
            samples=(), groups=(), conditions=(), source=none, n_cells=none, mean=rows, std=rows,
            scale=torch.ones(n_features, dtype=torch.float64), cells=rows.float(),
            offsets=torch.zeros(1, dtype=torch.int64),
        )  # fmt: skip

    @classmethod
    def from_parts(cls, json: Mapping[str, Any] | Plain, arrays: Mapping[str, Any]) -> "Summaries":
        """The reverse of `to_json` and `arrays`.

        Raises:
            ValueError: If the format is newer than this version, or a part is missing or does not fit.
        """
        plain = Plain.of(json, "summaries")
        if (number := plain["format"].whole()) > _FORMAT:
            raise PlainError(f"summaries of format {number}, newer than {_FORMAT}; update cellflow-cli")

        def numbers(name: str, dtype: torch.dtype) -> Tensor:
            whole = not dtype.is_floating_point
            return torch.tensor(array(arrays, name, "the arrays of the summaries", whole=whole), dtype=dtype)

        mean = numbers("mean", torch.float64)
        types = plain.get("cell_types")
        try:
            found = cls(
                samples=tuple(sample.texts(at_least=1) for sample in plain["samples"].list()),
                groups=plain["groups"].texts(),
                conditions=tuple(_condition(value) for value in plain["conditions"].list()),
                source=numbers("source", torch.int64),
                n_cells=numbers("n_cells", torch.int64),
                mean=mean,
                std=numbers("std", torch.float64),
                scale=numbers("scale", torch.float64),
                cells=numbers("cells", torch.float32) if "cells" in arrays else mean[:0].float(),
                offsets=numbers("offsets", torch.int64)
                if "offsets" in arrays
                else torch.zeros(len(mean) + 1, dtype=torch.int64),
                types=TypeMeans.from_parts(types.texts(distinct=True), arrays) if types else None,
                codes=numbers("codes", torch.int64)
                if "codes" in arrays
                else torch.zeros(0, dtype=torch.int64),
                profiles=Profiles.from_arrays(arrays),
            )
        except PlainError:
            raise
        except ValueError as error:
            raise PlainError(f"Expected whole summaries, found {error}.") from error
        found.check()
        return found

    def check(self) -> None:
        """Whether counts, positions and spreads make sense, which summaries of a file may not.

        Raises:
            PlainError: Naming the first that does not.
        """
        treated = torch.tensor([c is not None for c in self.conditions], dtype=torch.bool)
        sources = self.source[treated]
        is_position = (sources >= 0) & (sources < len(self.source))
        n_types = math.inf if self.types is None else len(self.types.names)
        steps = self.offsets.diff()
        rules = {
            "`source` to name the controls of each treated population, and -1 for controls": (
                bool((self.source[~treated] == -1).all())
                and bool(is_position.all())
                and not bool(treated[sources].any())
            ),
            "`n_cells` of at least 1": bool((self.n_cells >= 1).all()),
            "`std` of at least 0": bool((self.std >= 0).all()),
            "`scale` above 0": bool((self.scale > 0).all()),
            "`offsets` that ascend from 0 to the number of `cells`": (
                int(self.offsets[0]) == 0
                and bool((steps >= 0).all())
                and int(self.offsets[-1]) == len(self.cells)
            ),
            "`cells` of the features of `mean`": self.cells.shape[1:] == self.mean.shape[1:],
            "`codes` of known cell types": bool(((self.codes >= 0) & (self.codes < n_types)).all()),
        }
        for rule, holds in rules.items():
            if not holds:
                raise PlainError(f"Expected summaries with {rule}, found others.")


def _condition(value: Plain) -> Condition | None:
    if value.value is None:
        return None
    value.exactly(("treatment", "dose"))
    dose = value.get("dose")
    return Condition(value["treatment"].text(), None if dose is None else dose.number(at_least=0))


def summarise(
    pairs: Sequence[PopulationPair],
    scale: Float[Tensor, " d"],
    rng: torch.Generator,
    n_cells: int = 300,
    cell_types: Sequence[str] = (),
) -> Summaries:
    """Summaries of the training populations; a control shared by several pairs is kept once.

    Args:
        pairs: Training pairs, one or more.
        scale: Training spread per feature, shape [d].
        rng: Draws which cells are kept.
        n_cells: Maximum cells kept of each population.
        cell_types: Names of the one-hot `node_features` of the populations, if they have any.
    """
    if not pairs:
        raise ValueError("no pairs to summarise")
    controls: list[StoredPopulation] = []
    source: list[int] = []
    for pair in pairs:
        matches = (i for i, control in enumerate(controls) if _same(control, pair.source))
        position = next(matches, len(controls))
        if position == len(controls):
            controls.append(pair.source)
        source.append(position)
    populations = [population.draw() for population in (*controls, *(pair.target for pair in pairs))]
    cells = [population.cells.detach().cpu() for population in populations]
    rows = [_some_rows(len(c), n_cells, rng) for c in cells]
    hot = [population.node_features.detach().cpu() for population in populations] if cell_types else []
    return Summaries(
        samples=tuple(population.sample for population in populations),
        groups=tuple(population.group for population in populations),
        conditions=tuple(population.condition for population in populations),
        source=torch.tensor([*(-1 for _ in controls), *source], dtype=torch.int64),
        n_cells=torch.tensor([len(c) for c in cells], dtype=torch.int64),
        mean=torch.stack([c.double().mean(0) for c in cells]),
        std=torch.stack([_std(c.double()) for c in cells]),
        scale=torch.as_tensor(scale).detach().cpu().double(),
        cells=torch.cat([c[kept] for c, kept in zip(cells, rows, strict=True)]).float(),
        offsets=torch.tensor([0, *(len(kept) for kept in rows)], dtype=torch.int64).cumsum(0),
        types=type_means(populations, cell_types) if cell_types else None,
        codes=torch.cat([h[kept].argmax(1) for h, kept in zip(hot, rows, strict=True)])
        if hot
        else torch.zeros(0, dtype=torch.int64),
    )


def _same(a: StoredPopulation, b: StoredPopulation) -> bool:
    if a is b:
        return True
    return a.sample == b.sample and a.group == b.group and torch.equal(a.draw().cells, b.draw().cells)


def _some_rows(n: int, n_cells: int, rng: torch.Generator) -> Int[Tensor, " k"]:
    return torch.arange(n) if n <= n_cells else torch.randperm(n, generator=rng)[:n_cells].sort().values


def _std(cells: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    return cells.std(0) if len(cells) > 1 else torch.zeros_like(cells[0])
