"""What an embedder hands to the velocity field."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cellflow_cli.errors import ConfigError
from cellflow_cli.types import PopulationBatch

_MAX_NUMBERS = 2**24  # 64 MB in float32


@runtime_checkable
class Context(Protocol):
    """A population as the field sees it: something that can be queried at a point and a time."""

    def query(self, x: Float[Tensor, "b n d"], t: Float[Tensor, "b n"]) -> Float[Tensor, "b #n e"]:
        """Context at each point: shape [b, n, e], or [b, 1, e] if it is the same at all of them."""
        ...

    def merged(self) -> "Context":
        """Contexts of b subsamples of one population as the context of that population, b = 1."""
        ...


@dataclass(frozen=True)
class PooledContext:
    """One vector per population, the same at every point and time.

    Attributes:
        vector: Shape [b, e].
    """

    vector: Float[Tensor, "b e"]

    def query(self, x: Float[Tensor, "b n d"], t: Float[Tensor, "b n"]) -> Float[Tensor, "b 1 e"]:
        """The vector, shape [b, 1, e]."""
        return self.vector.unsqueeze(1)

    def merged(self) -> "PooledContext":
        """The mean vector, shape [1, e]."""
        return PooledContext(self.vector.mean(0, keepdim=True))


def check_width(embedding: int, *, or_none: bool) -> None:
    """Whether a vector that goes through a layer norm can carry information.

    Args:
        embedding: Its width.
        or_none: Whether 0 means that there is no such layer.

    Raises:
        ConfigError: If it is a single number, or less.
    """
    if embedding >= 2 or (or_none and embedding == 0):
        return
    raise ConfigError(
        f"Expected method.embedder.embedding of {'0 or ' if or_none else ''}at least 2, found {embedding}: "
        "the layer norm makes a single number the same for every population."
    )


def check_cells(minimum: int, reference: int) -> None:
    """Whether a number of cells can be drawn.

    Raises:
        ConfigError: If it may be none.
    """
    if min(minimum, reference) < 1:
        raise ConfigError(
            "Expected method.embedder.reference_cells and min_cells of at least 1, found "
            f"{reference} and {minimum}."
        )


def blockwise(
    query: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "b n d"],
    t: Float[Tensor, "b n"],
    cost: int,
) -> Float[Tensor, "b n e"]:
    """A query of points that do not depend on one another, in blocks that bound its memory.

    Args:
        query: Called as `(x, t) -> [b, n, e]`.
        x: Points.
        t: Their times.
        cost: Numbers that one point in each of the b populations holds on the way.
    """
    size = max(1, _MAX_NUMBERS // max(1, cost))
    if x.shape[1] <= size:
        return query(x, t)
    parts = zip(x.split(size, dim=1), t.split(size, dim=1), strict=True)
    return torch.cat([query(points, times) for points, times in parts], dim=1)


def thinned(population: PopulationBatch, minimum: int) -> PopulationBatch:
    """The first k cells of each subsample, k drawn between `minimum` and all of them.

    The draw is torch's global one, which the training loop scopes. Subsamples come in random
    order, so the first are a random choice; a context that has met populations of many sizes in
    training does not depend on the size it meets later.
    """
    m = population.cells.shape[1]
    k = int(torch.randint(min(minimum, m), m + 1, ()))
    return population._replace(
        cells=population.cells[:, :k],
        mask=population.mask[:, :k],
        node_features=population.node_features[:, :k],
    )


def mean_and_spread(h: Float[Tensor, "b m f"], mask: Bool[Tensor, "b m"]) -> Float[Tensor, "b g"]:
    """Mean and standard deviation over the cells that the mask keeps, side by side, shape [b, 2 f]."""
    mean = masked_mean(h, mask)
    variance = masked_mean((h - mean.unsqueeze(1)).square(), mask)
    return torch.cat([mean, (variance + 1e-6).sqrt()], dim=-1)


def masked_mean(h: Float[Tensor, "b m f"], mask: Bool[Tensor, "b m"]) -> Float[Tensor, "b f"]:
    """Mean over the cells that the mask keeps, shape [b, f]; zero where it keeps none."""
    weight = mask.unsqueeze(-1).to(h.dtype)
    return (h * weight).sum(1) / weight.sum(1).clamp(min=1)
