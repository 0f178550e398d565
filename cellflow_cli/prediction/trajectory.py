"""Cells on their way from control to treated state, for pictures."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
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
    kept: Int[Tensor, " k"] | None = None,
) -> list[Float[Tensor, "n d"]]:
    """Cells of a control population at several flow times; the last of them, at 1, is the prediction.

    Args:
        method: A trained method.
        population: Control cells of one sample.
        condition: A trained treatment.
        solver: How to integrate between two times.
        times: Ascending, within [0, 1].
        seed: Seed of the prediction.
        label: Code of the sample if it was trained on, else -1.
        kept: Positions of the cells that are followed; the method is told all of them. Default: all.
    """
    prepared = prepare(method, population, condition, seed, label)
    begin = start(method, population, condition, seed)
    begin = begin if kept is None else begin[kept.to(begin.device)]
    return method.trajectory(begin, prepared.told, solver, times)
