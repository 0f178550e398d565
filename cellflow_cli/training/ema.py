"""Exponential moving average of parameters, the weights that are kept."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Averaged(Protocol):
    """A module whose parameters are averaged."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters by name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers by name."""
        ...


class Ema:
    """Averages the parameters of a module; buffers are taken as they are.

    average <- a average + (1 - a) parameter,   a = min(decay, (1 + step) / (10 + step))

    The rising decay keeps the first, random weights from lingering in short runs.

    Args:
        module: Module whose parameters are averaged.
        decay: Largest share of the old average that is kept per step, in [0, 1).
    """

    def __init__(self, module: Averaged, decay: float) -> None:
        self.decay = decay
        self.step = 0
        self._module = module
        self._average = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the current parameters into the average."""
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        for name, parameter in self._module.named_parameters():
            self._average[name].lerp_(parameter.detach(), 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """A state dict of the module with averaged parameters; a copy."""
        state = {name: value.detach().clone() for name, value in self._module.state_dict().items()}
        state.update({name: value.clone() for name, value in self._average.items()})
        return state
