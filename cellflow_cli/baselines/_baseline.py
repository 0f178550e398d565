"""What every baseline is given, and what it answers."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.types import Condition


@dataclass(frozen=True, eq=False, kw_only=True)
class BaselineRequest:
    """Control cells of a sample, and what is done to it.

    Attributes:
        control: Control cells to predict from, flow features unscaled, shape [n, d].
        sample: Name of the sample.
        condition: What is done to it.
        population: All control cells of the sample that are known, from which facts of the sample
            follow, shape [k, d]; default: `control`.
        cell_types: Type of each cell of `control`, n of them; None where types are not known.
    """

    control: Float[Tensor, "n d"]
    sample: str
    condition: Condition
    population: Float[Tensor, "k d"] | None = None
    cell_types: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.cell_types is not None and len(self.cell_types) != len(self.control):
            raise ValueError(f"{len(self.cell_types)} cell types for {len(self.control)} cells")

    @property
    def mean(self) -> Float64[Tensor, " d"]:
        """Mean control cell of the sample, on the CPU like the summaries, shape [d]."""
        cells = self.control if self.population is None else self.population
        return cells.detach().double().mean(0).cpu()


class Baseline(Protocol):
    """A simple predictor that a method has to beat, fitted on the training part only."""

    def predict(
        self, request: BaselineRequest, summaries: Summaries, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Cells that the sample would have under the condition.

        Args:
            request: Control cells, one or more, and the condition.
            summaries: The training populations.
            rng: For baselines that draw.

        Returns:
            Predicted cells, as many as `request.control` and in its units and dtype, shape [n, d].

        Raises:
            MetricError: If the baseline has no answer; the message says why.
        """
        ...
