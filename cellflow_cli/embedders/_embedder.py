"""What an embedder is: the contract that methods and training rest on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn

from cellflow_cli.embedders._context import Context
from cellflow_cli.types import PopulationBatch

MAX_SUBSAMPLES = 64
"""Subsamples that a prediction pools at most, where an embedder sets no other limit."""


@dataclass(frozen=True, kw_only=True)
class ContextNeeds:
    """What a context is made of.

    Attributes:
        cells: Control cells that are seen at a time, the size of one subsample; 0: none are looked at.
        max_cells: Control cells that a prediction sees, over all subsamples.
        disjoint: Whether training shows other cells than those that flow. A context that is queried at a
            point on the way of a cell would otherwise hold the cell's own start, so that the distance to
            it gives the direction away.
        label: Whether it is made of the code of the training sample.
    """

    cells: int = 0
    max_cells: int = 0
    disjoint: bool = False
    label: bool = False


@runtime_checkable
class Embedder(Protocol):
    """A control population to a context that the velocity field can query; an `nn.Module`.

    Called with b subsamples (`PopulationBatch`, cells in network units), it returns their contexts.
    """

    @property
    def width(self) -> int:
        """e, width of what a query returns."""
        ...

    @property
    def needs(self) -> ContextNeeds:
        """What it is made of."""
        ...

    def __call__(self, population: PopulationBatch) -> Context:
        """Contexts of b subsamples, in training mode of a random number of their cells."""
        ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """What is learned."""
        ...
