"""Characteristic function of the population at random frequencies, relative to the query point."""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow_cli.catalog import Entry
from cellflow_cli.embedders._context import (
    PooledContext,
    check_cells,
    check_width,
    masked_mean,
    mean_and_spread,
    thinned,
)
from cellflow_cli.embedders._embedder import MAX_SUBSAMPLES, ContextNeeds, Embedder
from cellflow_cli.errors import ConfigError
from cellflow_cli.types import ModelShape, PopulationBatch

_GAIN = 4.0  # most values lie within +-0.25 (the function falls off from one): brings them to about one


@dataclass(frozen=True, kw_only=True)
class FourierConfig:
    """Frequencies and sizes."""

    bandwidths: tuple[float, ...] = field(
        default=(0.18, 0.35, 0.7),
        metadata={
            "help": "Bandwidths in network units, for distances divided by the root of their features."
        },
    )
    frequencies: int = field(default=48, metadata={"help": "Frequencies drawn for each bandwidth."})
    pointwise: bool = field(
        default=True,
        metadata={"help": "Evaluate it relative to each query point; if not, one vector for all points."},
    )
    embedding: int = field(default=8, metadata={"help": "Width of the vector beside it; 0: none."})
    reference_cells: int = field(default=1024, metadata={"help": "Cells of the population per step."})
    min_cells: int = field(
        default=128,
        metadata={"help": "Minimum subsample size; drawn up to `reference_cells` per step."},
    )

    def __post_init__(self) -> None:
        if not self.bandwidths or min(self.bandwidths) <= 0:
            raise ConfigError(f"Expected bandwidths above zero, found {self.bandwidths}.")
        if self.frequencies < 1:
            raise ConfigError("Expected at least one of method.embedder.frequencies, found none.")
        check_cells(self.min_cells, self.reference_cells)
        check_width(self.embedding, or_none=True)


@dataclass(frozen=True)
class FourierContext:
    """A population as its characteristic function.

    Attributes:
        cosine, sine: Mean over the cells of cos(w . s) and sin(w . s), shape [b, f].
        frequencies: w, shape [d, f].
        pooled: Vector of the population, shape [b, e].
    """

    cosine: Float[Tensor, "b f"]
    sine: Float[Tensor, "b f"]
    frequencies: Float[Tensor, "d f"]
    pooled: Float[Tensor, "b e"]

    def query(self, x: Float[Tensor, "b n d"], t: Float[Tensor, "b n"]) -> Float[Tensor, "b n q"]:
        """Mean over the cells of cos(w . (x - s)) and of sin(w . (x - s)), times 4; and the vector."""
        angle = x @ self.frequencies
        cos, sin = angle.cos(), angle.sin()
        mean_cos, mean_sin = self.cosine.unsqueeze(1), self.sine.unsqueeze(1)
        even = cos * mean_cos + sin * mean_sin
        odd = sin * mean_cos - cos * mean_sin
        pooled = self.pooled.unsqueeze(1).expand(-1, x.shape[1], -1)
        return torch.cat([_GAIN * even, _GAIN * odd, pooled], dim=-1)

    def merged(self) -> "FourierContext":
        """The means over all subsamples."""
        return FourierContext(
            self.cosine.mean(0, keepdim=True),
            self.sine.mean(0, keepdim=True),
            self.frequencies,
            self.pooled.mean(0, keepdim=True),
        )


class Fourier(nn.Module):
    """The population as its characteristic function, relative to the query point.

    phi(w) = E exp(i w . s);   the field is given Re and Im of exp(i w . x) conj(phi(w)) for each frequency w

    The frequencies are drawn from N(0, I / (d h^2)) for each bandwidth h and learned further. Over many of
    them the real part averages to the Gaussian kernel density of the population at x with bandwidth
    h sqrt(d), and the other combinations that a network can take to its derivatives and to narrower
    kernels: what `kernel` and `set-attention` give, yet from one vector of fixed size, whose cost does not
    grow with the number of cells. A small vector beside it, LayerNorm(W [mean, std, phi]), says what the
    population is like wherever it is queried. With `pointwise` false the field is given phi and that vector,
    the same at all points: one pooled vector, from which it has to work out the shape by itself.

    Args:
        config: Frequencies and sizes.
        shape: Gives the width of cells and node features.

    Source: Rahimi and Recht (2007), Random features for large-scale kernel machines, section 3, for the
    frequencies; Muandet et al. (2017), Kernel mean embedding of distributions, section 3.1, for the vector.
    """

    def __init__(self, config: FourierConfig, shape: ModelShape) -> None:
        super().__init__()
        d, n = shape.n_features, config.frequencies
        n_in = d + shape.n_node_features
        n_cells = config.reference_cells
        self.needs = ContextNeeds(cells=n_cells, max_cells=MAX_SUBSAMPLES * n_cells)
        self.min_cells = config.min_cells
        self.pointwise = config.pointwise
        drawn = [torch.randn(d, n) / (h * math.sqrt(d)) for h in config.bandwidths]
        self.frequencies = nn.Parameter(torch.cat(drawn, dim=-1))
        n_waves = 2 * self.frequencies.shape[-1]
        self.pool = (
            nn.Sequential(nn.Linear(2 * n_in + n_waves, config.embedding), nn.LayerNorm(config.embedding))
            if config.embedding
            else None
        )
        self.width = n_waves + config.embedding

    def forward(self, population: PopulationBatch) -> FourierContext | PooledContext:
        """A context of b subsamples; in training of a random number of their cells."""
        population = thinned(population, self.min_cells) if self.training else population
        angle = population.cells @ self.frequencies
        cosine, sine = (masked_mean(part, population.mask) for part in (angle.cos(), angle.sin()))
        if self.pool is None:
            pooled = cosine[:, :0]
        else:
            h = torch.cat([population.cells, population.node_features], dim=-1)
            pooled = self.pool(
                torch.cat([mean_and_spread(h, population.mask), _GAIN * cosine, _GAIN * sine], -1)
            )
        if not self.pointwise:
            return PooledContext(torch.cat([_GAIN * cosine, _GAIN * sine, pooled], dim=-1))
        return FourierContext(cosine, sine, self.frequencies, pooled)


ENTRY: Entry[Embedder] = Entry(FourierConfig, Fourier)
