"""Batches of population pairs: every pair weighs the same, whatever its size."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from cellflow_cli.embedders import draw
from cellflow_cli.methods import Needs
from cellflow_cli.types import Batch, ModelShape, PopulationPair


class PairSampler:
    """Draws training batches from population pairs.

    Pairs are visited in shuffled rounds, so that each is seen equally often; cells are drawn
    with replacement only where a population has fewer than are drawn.

    Args:
        pairs: Training pairs, all on one device.
        shape: Codes of treatments and samples.
        needs: Of the method: how many control cells the embedder sees, whether these are other cells than
            the ones that flow, and whether known pairs are drawn together (see `_with_partners`).
        n_populations: b, pairs per batch.
        n_cells: n, cells per population.
    """

    def __init__(
        self,
        pairs: Sequence[PopulationPair],
        shape: ModelShape,
        needs: Needs,
        *,
        n_populations: int,
        n_cells: int,
    ) -> None:
        if not pairs:
            raise ValueError("no population pairs to draw from")
        self.pairs = list(pairs)
        self.shape = shape
        self.needs = needs
        self.n_populations = n_populations
        self.n_cells = n_cells
        self._queue: list[int] = []

    def draw(self, rng: torch.Generator) -> Batch:
        """One batch; `rng` is a CPU generator."""
        chosen = [self.pairs[self._next(rng)] for _ in range(self.n_populations)]
        drawn = [self._drawn(pair, rng) for pair in chosen]
        sources = [pair.source for pair in chosen]
        targets = [pair.target for pair in chosen]
        x0 = torch.stack([p.draw(rows.source).cells for p, rows in zip(sources, drawn, strict=True)])
        x1 = torch.stack([p.draw(rows.target).cells for p, rows in zip(targets, drawn, strict=True)])
        context = self.needs.context
        excluded = [rows.source for rows in drawn] if context.disjoint else None
        labels = [self.shape.label_of(source.name) for source in sources]
        covariates = torch.stack([source.covariates.to(x0) for source in sources])
        return Batch(
            x0=x0,
            x1=x1,
            population=draw(sources, context.cells, labels, rng, excluded=excluded),
            condition=self.shape.encode([pair.condition for pair in chosen], covariates),
            n_paired=torch.tensor([rows.n_paired for rows in drawn]),
        )

    def _next(self, rng: torch.Generator) -> int:
        if not self._queue:
            self._queue = torch.randperm(len(self.pairs), generator=rng).tolist()
        return self._queue.pop()

    def _drawn(self, pair: PopulationPair, rng: torch.Generator) -> "_Drawn":
        sizes = pair.source.n_cells, pair.target.n_cells
        if pair.pairs is None or not self.needs.known_pairs:
            return _Drawn(_rows(sizes[0], self.n_cells, rng), _rows(sizes[1], self.n_cells, rng), 0)
        return _with_partners(pair.pairs, sizes, self.n_cells, rng)


class _Drawn(NamedTuple):
    """Rows of a source and of a target population, each shape [n]: the first `n_paired` are known pairs."""

    source: Int[Tensor, " n"]
    target: Int[Tensor, " n"]
    n_paired: int


def _with_partners(
    pairs: tuple[Int[Tensor, " k"], Int[Tensor, " k"]], sizes: tuple[int, int], n: int, rng: torch.Generator
) -> _Drawn:
    """Rows of each population, n: every cell equally often, in known pairs as often as that allows.

    The larger population is drawn as where no pairs are known, and partners come along:

        share of known pairs = k / max(sizes)

    A larger share (k over the smaller size, or over the mean) would draw cells of the larger population
    more often for having a partner; with k the smaller size it would leave out those without one. In the
    smaller population a cell with a partner has then come in k / max of the draws instead of k / min, so
    that a row of the rest is one of those with probability (k / min - k / max) / (1 - k / max).

    Args:
        pairs: Rows (source, target) of the k known pairs, no row twice.
        sizes: Cells in source and target.
        n: Rows to draw.
        rng: Drawn from once where every cell has a partner.
    """
    k, small, large = len(pairs[0]), min(sizes), max(sizes)
    rows = _rows(large, n, rng)  # in an order where cells with a partner come first
    known, rest = rows[rows < k], rows[rows >= k]
    lots = torch.randint(max(1, small * (large - k)), (len(rest),), generator=rng)
    n_again = int((lots < k * (large - small)).sum())
    others = [_rows(k, n_again, rng), k + _rows(small - k, len(rest) - n_again, rng)]
    of_large, of_small = torch.cat([known, rest]), torch.cat([known, *others])
    first, second = (of_large, of_small) if sizes[0] == large else (of_small, of_large)
    source, target = (_partners_first(own, size) for own, size in zip(pairs, sizes, strict=True))
    return _Drawn(source[first], target[second], len(known))


def _partners_first(paired: Int[Tensor, " k"], size: int) -> Int[Tensor, " n"]:
    alone = torch.ones(size, dtype=torch.bool)
    alone[paired] = False
    return torch.cat([paired, alone.nonzero().squeeze(-1)])


def _rows(n: int, k: int, rng: torch.Generator) -> Int[Tensor, " k"]:
    """Row numbers below n, k of them: without replacement where there are enough."""
    if k == 0:
        return torch.zeros(0, dtype=torch.int64)  # and `rng` as it was
    if n >= k:
        return torch.randperm(n, generator=rng)[:k]
    return torch.randint(n, (k,), generator=rng)
