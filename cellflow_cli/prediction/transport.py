"""Control cells of one sample, carried to a condition, in chunks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.embedders import cover, one_of_each
from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.rng import stream
from cellflow_cli.types import Condition, Population, Transported


class Prepared(NamedTuple):
    """A population as a method sees it, under one condition.

    Attributes:
        told: What the method's `prepare` returned.
        condition: What is to be done.
    """

    told: Any
    condition: Condition


@torch.no_grad()
def prepare(
    method: Any,
    population: Population,
    condition: Condition,
    seed: int,
    label: int = -1,
    instead: Sequence[Population] = (),
) -> Prepared:
    """Tell a method about a population and a condition, once for all its chunks.

    The subsamples that the embedder sees depend on `seed` and the sample's name only, not on the
    order of the cells or on what else is predicted.

    Args:
        method: A trained method.
        population: All control cells of the sample.
        condition: A trained treatment.
        seed: Seed of the prediction.
        label: Code of the sample if it was trained on, else -1.
        instead: Population that the embedder sees in place of this one; of several it sees one subsample
            each, whose contexts are merged like those of one population: the average population.
    """
    rng = stream(seed, "context", population.name)
    size = method.context_cells or 1
    if len(instead) > 1:
        blocks = one_of_each(instead, size, label, rng)
    else:
        shown = instead[0] if instead else population
        blocks = cover(shown, size, label, rng, at_most=max(1, method.most_context_cells // size))
    covariates = population.covariates.to(population.cells).unsqueeze(0)
    return Prepared(method.prepare(blocks, method.shape.encode([condition], covariates)), condition)


@torch.no_grad()
def start(method: Any, population: Population, condition: Condition, seed: int) -> Float[Tensor, "n d"]:
    """Where the cells of a population start: the control cells, or as many draws of noise.

    Args:
        method: A trained method.
        population: All control cells of the sample.
        condition: What is to be done.
        seed: Seed of the prediction; with the names of sample and condition it decides the noise.
    """
    rng = stream(seed, "noise", population.name, condition.label)
    noise = method.start(len(population.cells), rng) if hasattr(method, "start") else None
    return population.cells if noise is None else noise


def from_noise(method: Any) -> bool:
    """Whether predicted cells come from draws of noise, so that none of them is a control cell's."""
    return getattr(method, "from_noise", False)


@torch.no_grad()
def transport(
    method: Any, cells: Float[Tensor, "n d"], prepared: Prepared, solver: SolverConfig, chunk: int = 8192
) -> Transported:
    """Carry cells in chunks of at most `chunk`; the result does not depend on the chunks.

    Adaptive steps are those that the worst cell of a chunk needs: with them it does, within the tolerance.

    Args:
        method: A trained method.
        cells: Control cells, units of the data, shape [n, d].
        prepared: From `prepare`.
        solver: How to integrate.
        chunk: Cells per call, a bound on memory.
    """
    parts = [method.transport(part, prepared.told, solver) for part in cells.split(chunk)]
    return Transported(
        torch.cat([part.cells for part in parts]), sum(part.n_evaluations for part in parts[:1])
    )
