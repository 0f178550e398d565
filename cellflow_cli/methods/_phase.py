"""What a method's `phases()` yields."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn


class Phase(NamedTuple):
    """A group of parameters that one optimizer steps together.

    Attributes:
        name: Shown in the history.
        parameters: What is stepped.
        steps: Consecutive steps before the next phase has its turn.
        learning_rate: Peak of the schedule where it is not that of the training configuration.
        betas: Decays of Adam's two averages where they are not its defaults.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    steps: int = 1
    learning_rate: float | None = None
    betas: tuple[float, float] | None = None
