"""Cells on their way from control to treated state, for pictures."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.prediction.transport import prepare, start
from cellflow_cli.types import Condition, Population


@torch.no_grad()
def trajectory(
    method: Any,
    population: Population,
    condition: Condition,
    solver: SolverConfig,
    times: Sequence[float],
    seed: int = 0,
    label: int = -1,
) -> list[Float[Tensor, "n d"]]:
    """All cells of a control population at several flow times; the last of them, at 1, is the prediction.

    Args:
        method: A trained method.
        population: Control cells of one sample.
        condition: A trained treatment.
        solver: How to integrate between two times.
        times: Ascending, within [0, 1].
        seed: Seed of the prediction.
        label: Code of the sample if it was trained on, else -1.
    """
    prepared = prepare(method, population, condition, seed, label)
    begin = start(method, population, condition, seed)
    return method.trajectory(begin, prepared.told, solver, times)
