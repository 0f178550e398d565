"""The log density of the population at the point, its gradient and curvature, at several bandwidths."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cellflow_cli.catalog import Entry
from cellflow_cli.embedders._context import blockwise, thinned
from cellflow_cli.embedders._embedder import ContextNeeds, Embedder
from cellflow_cli.embedders._moments import Moments
from cellflow_cli.errors import ConfigError
from cellflow_cli.types import ModelShape, PopulationBatch


@dataclass(frozen=True, kw_only=True)
class KernelConfig:
    """Bandwidths and how many cells the density is made of."""

    bandwidths: tuple[float, ...] = field(
        default=(0.06, 0.12, 0.25, 0.5, 1.0), metadata={"help": "Bandwidths, in network units."}
    )
    reference_cells: int = field(default=1024, metadata={"help": "Cells of the population per step."})
    min_cells: int = field(
        default=256,
        metadata={"help": "Minimum subsample size; drawn up to `reference_cells` per step."},
    )
    max_cells: int = field(
        default=4096,
        metadata={"help": "Maximum context cells at prediction (cost: context cells x predicted cells)."},
    )

    def __post_init__(self) -> None:
        if not self.bandwidths or min(self.bandwidths) <= 0:
            raise ConfigError(f"Expected bandwidths above zero, found {self.bandwidths}.")
        if not 1 <= self.min_cells <= self.reference_cells <= self.max_cells:
            raise ConfigError(
                f"Expected 1 <= min_cells <= reference_cells <= max_cells in method.embedder, found "
                f"{self.min_cells}, {self.reference_cells}, {self.max_cells}."
            )


@dataclass(frozen=True)
class KernelContext:
    """Control cells that can be queried for their density around a point.

    Attributes:
        cells: Network units, shape [b, m, d].
        mask: True for real cells, shape [b, m].
        bandwidths: Shape [k].
    """

    cells: Float[Tensor, "b m d"]
    mask: Bool[Tensor, "b m"]
    bandwidths: Float[Tensor, " k"]

    def query(self, x: Float[Tensor, "b n d"], t: Float[Tensor, "b n"]) -> Float[Tensor, "b n e"]:
        """[(m - x) / h, C / h^2 - I, -log(1 - log density)] for each bandwidth h, shape [b, n, e].

        m and C are mean and covariance of the cells s_j under the softmax of -|x - s_j|^2 / (2 h^2); of C
        the upper triangle, beyond `_moments.FULL` dimensions the diagonal. The density is the mean of the
        unnormalised kernels, so that it does not depend on the number of cells. Its logarithm is
        compressed because it falls with the square of the distance outside the population.
        """
        return blockwise(self._query, x, t, cost=self.mask.numel())

    def _query(self, x: Float[Tensor, "b n d"], t: Float[Tensor, "b n"]) -> Float[Tensor, "b n e"]:
        squared = torch.cdist(x, self.cells).square().masked_fill(~self.mask.unsqueeze(1), torch.inf)
        nearest = squared.amin(-1, keepdim=True)
        gap = nearest - squared
        n_cells = self.mask.sum(-1).clamp(min=1).to(x.dtype).log()[:, None, None]
        moments = Moments(self.cells.shape[-1])
        products = moments.of(self.cells)
        features = []
        for h in self.bandwidths:
            # exp of less than -60 adds nothing, and denormal numbers are several times slower
            weights = (gap / (2 * h * h)).clamp(min=-60.0).exp()
            total = weights.sum(-1, keepdim=True)
            mean, covariance = moments.split(torch.bmm(weights, products) / total)
            density = total.log() - nearest / (2 * h * h) - n_cells
            features += [(mean - x) / h, covariance / (h * h) - moments.identity.to(x)]
            features.append(-torch.log1p(nn.functional.relu(-density)))
        return torch.cat(features, dim=-1)

    def merged(self) -> "KernelContext":
        """All cells of the subsamples as one population."""
        return KernelContext(self.cells.flatten(0, 1)[None], self.mask.flatten()[None], self.bandwidths)


class Kernel(nn.Module):
    """The population as kernel features around (x, t); for few dimensions, where distances mean something.

    The best velocity at a point depends on how the density changes there, which a pooled vector cannot
    give. For the kernel density p_h, with mean m and covariance C of the cells under its weights,

        grad log p_h(x) = (m - x) / h^2          Hess log p_h(x) = (C / h^2 - I) / h^2

    Args:
        config: Bandwidths and sizes.
        shape: Gives the width of cells.

    Source: Cheng (1995), Mean shift, mode seeking, and clustering, equation 4, for the gradient.
    """

    bandwidths: Tensor

    def __init__(self, config: KernelConfig, shape: ModelShape) -> None:
        super().__init__()
        self.needs = ContextNeeds(cells=config.reference_cells, max_cells=config.max_cells, disjoint=True)
        self.min_cells = config.min_cells
        self.width = len(config.bandwidths) * (Moments(shape.n_features).width + 1)
        self.register_buffer("bandwidths", torch.tensor(config.bandwidths))

    def forward(self, population: PopulationBatch) -> KernelContext:
        """A context over the cells of b subsamples; in training a random number of them."""
        cells, mask, _, _ = thinned(population, self.min_cells) if self.training else population
        return KernelContext(cells, mask, self.bandwidths.to(cells.dtype))


ENTRY: Entry[Embedder] = Entry(KernelConfig, Kernel)
