"""Static maps: where a cell arrives is learned, in one step, and not how it gets there."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.errors import NumericalError
from cellflow_cli.methods._base import BaseMethod
from cellflow_cli.methods._method import Conditioning, Phase
from cellflow_cli.types import Transported


class StaticMap(BaseMethod):
    """A map T of cells under a condition; a subclass gives `map` and `loss`.

    Cells on their way are at (1 - t) x0 + t T(x0), the displacement interpolation.

    Args:
        shape: Sizes of the data.
        encoder: Condition to vector.

    Source: McCann (1997), A convexity principle for interacting gases, definition 1.1.
    """

    is_straight = True

    @abstractmethod
    def map(self, x: Float[Tensor, "b n d"], conditioning: Conditioning) -> Float[Tensor, "b n d"]:
        """Where cells go, network units.

        Args:
            x: Cells, network units, shape [b, n, d].
            conditioning: Of the b populations.
        """

    def phases(self) -> Iterator[Phase]:
        """One phase: everything together."""
        yield Phase("map", [p for p in self.parameters() if p.requires_grad])

    def transport(
        self,
        x0: Float[Tensor, "n d"],
        conditioning: Conditioning,
        times: Sequence[float] = (1.0,),
        *,
        rough: bool = False,
    ) -> Transported:
        """Carry cells to the treated state by one evaluation of the map.

        Args:
            x0: Any chunk of the population, units of the data, shape [n, d].
            conditioning: From `prepare`.
            times: Flow times to keep the cells at, ascending, within [0, 1].
            rough: There is one solution.

        Raises:
            NumericalError: If a cell does not stay finite.
        """
        moved = self.map(self.standardizer(x0).unsqueeze(0), conditioning).squeeze(0)
        if not torch.isfinite(moved).all():
            raise NumericalError(
                "Expected finite cells after the transport, found non-finite ones. "
                "Check the units of the input with `cellflow check`."
            )
        x1 = self.standardizer.inverse(moved)
        return Transported(torch.stack([x1 if t == 1 else (1 - t) * x0 + t * x1 for t in times]), 1)
