"""What every baseline answers."""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.types import Condition


class Baseline(Protocol):
    """A simple predictor that a method has to beat, fitted on the training part only."""

    def predict(
        self,
        control: Float[Tensor, "n d"],
        sample: str,
        condition: Condition,
        summaries: Summaries,
        rng: torch.Generator,
    ) -> Float[Tensor, "n d"]:
        """Cells that the sample would have under the condition.

        Args:
            control: Control cells of the sample, flow features unscaled, shape [n, d].
            sample: Name of the sample.
            condition: What is done to it.
            summaries: The training populations.
            rng: For baselines that draw.

        Returns:
            Predicted cells in the units and dtype of `control`, shape [n, d].

        Raises:
            MetricError: If the baseline has no answer for this condition; the message says why.
        """
        ...
