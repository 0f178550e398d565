"""Batches of population pairs: every pair weighs the same, whatever its size."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.embedders import draw
from cellflow_cli.types import Batch, ModelShape, PopulationPair


class PairSampler:
    """Draws training batches from population pairs.

    Pairs are visited in shuffled rounds, so that each is seen equally often; cells are drawn
    with replacement only where a population has fewer than asked for.

    Args:
        pairs: Training pairs, all on one device.
        shape: Codes of treatments and samples.
        n_populations: b, pairs per batch.
        n_cells: n, cells per population.
        context_cells: m, control cells that the embedder sees; zero where there is none.
        apart: Whether those are other cells than the ones that flow. A context that the field queries
            at a point on the way of a cell would otherwise hold the cell's own start, so that the
            distance to it gives the direction away.
    """

    def __init__(
        self,
        pairs: Sequence[PopulationPair],
        shape: ModelShape,
        *,
        n_populations: int,
        n_cells: int,
        context_cells: int,
        apart: bool = False,
    ) -> None:
        if not pairs:
            raise ValueError("no population pairs to draw from")
        self.pairs = list(pairs)
        self.shape = shape
        self.n_populations = n_populations
        self.n_cells = n_cells
        self.context_cells = context_cells
        self.apart = apart
        self._queue: list[int] = []

    def draw(self, rng: torch.Generator) -> Batch:
        """One batch; `rng` is a CPU generator."""
        chosen = [self.pairs[self._next(rng)] for _ in range(self.n_populations)]
        cells = [self._cells(pair, rng) for pair in chosen]
        sources = [pair.source for pair in chosen]
        flowing = [rows for _, _, rows in cells] if self.apart else None
        labels = [self._label(pair) for pair in chosen]
        population = draw(sources, self.context_cells, labels, rng, without=flowing)
        covariates = torch.stack([source.covariates.to(source.cells) for source in sources])
        return Batch(
            x0=torch.stack([x0 for x0, _, _ in cells]),
            x1=torch.stack([x1 for _, x1, _ in cells]),
            population=population,
            condition=self.shape.encode([pair.condition for pair in chosen], covariates),
            paired=torch.tensor([pair.pairs is not None for pair in chosen]),
        )

    def _next(self, rng: torch.Generator) -> int:
        if not self._queue:
            self._queue = torch.randperm(len(self.pairs), generator=rng).tolist()
        return self._queue.pop()

    def _cells(
        self, pair: PopulationPair, rng: torch.Generator
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"], Int[Tensor, " n"]]:
        """Source cells, target cells, and which rows of the source they are."""
        x0, x1 = pair.source.cells, pair.target.cells
        if pair.pairs is not None:
            rows = _rows(len(pair.pairs[0]), self.n_cells, rng)
            i, j = pair.pairs[0][rows], pair.pairs[1][rows]
        else:
            i, j = _rows(len(x0), self.n_cells, rng), _rows(len(x1), self.n_cells, rng)
        return x0[i.to(x0.device)], x1[j.to(x1.device)], i

    def _label(self, pair: PopulationPair) -> int:
        name = pair.source.name
        return self.shape.samples.index(name) if name in self.shape.samples else -1


def _rows(n: int, k: int, rng: torch.Generator) -> Int[Tensor, " k"]:
    """Row numbers below n, k of them: without replacement where there are enough."""
    if n >= k:
        return torch.randperm(n, generator=rng)[:k]
    return torch.randint(n, (k,), generator=rng)
