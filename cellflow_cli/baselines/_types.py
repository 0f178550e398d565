"""Means per cell type of the training populations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from cellflow_cli.plain import PlainError, array
from cellflow_cli.types import Population


@dataclass(frozen=True, eq=False, kw_only=True)
class TypeMeans:
    """Cells per type in p training populations; flow features.

    Attributes:
        names: The q cell types.
        n_cells: Cells of each type in each population, shape [p, q].
        mean: Their means, zero where there are none, shape [p, q, d].
    """

    names: tuple[str, ...]
    n_cells: Int64[Tensor, "p q"]
    mean: Float64[Tensor, "p q d"]

    def __post_init__(self) -> None:
        if self.mean.shape[:2] != self.n_cells.shape or self.n_cells.shape[1:] != (len(self.names),):
            raise ValueError("means per cell type of different numbers of populations or types")

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name."""
        return {"type_n_cells": self.n_cells.numpy().copy(), "type_mean": self.mean.numpy().copy()}

    @classmethod
    def from_parts(cls, names: Sequence[Any], arrays: Mapping[str, Any]) -> "TypeMeans":
        """The reverse of `names` and `arrays`.

        Raises:
            ValueError: If a part is missing or does not fit.
        """
        n_cells, mean = (
            array(arrays, name, "the arrays of the summaries", whole=name == "type_n_cells")
            for name in ("type_n_cells", "type_mean")
        )
        if (n_cells < 0).any() or mean.ndim != 3 or n_cells.ndim != 2:
            raise PlainError("Expected cells per type and population in the summaries, found other numbers.")
        return cls(names=tuple(map(str, names)), n_cells=torch.tensor(n_cells), mean=torch.tensor(mean))


def type_means(populations: Sequence[Population], names: Sequence[str]) -> TypeMeans:
    """Means per cell type.

    Args:
        populations: Their `node_features` are one-hot cell types in the order of `names`.
        names: Cell types, one or more.
    """
    counts, means = [], []
    for population in populations:
        hot = population.node_features.detach().cpu().double()
        if hot.shape != (len(population.cells), len(names)):
            raise ValueError(f"cell types of shape {tuple(hot.shape)} for {len(names)} names")
        count = hot.sum(0)
        sums: Float[Tensor, "q d"] = hot.T @ population.cells.detach().cpu().double()
        counts.append(count.round().long())
        means.append(sums / count.clamp(min=1)[:, None])
    return TypeMeans(names=tuple(names), n_cells=torch.stack(counts), mean=torch.stack(means))
