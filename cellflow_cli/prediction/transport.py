"""Control cells of one sample, carried to a condition, in chunks."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.embedders import cover, one_of_each
from cellflow_cli.methods import Conditioning, Method
from cellflow_cli.rng import stream
from cellflow_cli.types import Condition, Population, Transported


class Prepared(NamedTuple):
    """Cells of one population, ready to be carried to one condition.

    Attributes:
        start: Where the cells start, units of the data, shape [n, d]: the control cells, or draws of noise.
        conditioning: What the method's `prepare` returned.
    """

    start: Float[Tensor, "n d"]
    conditioning: Conditioning


@torch.no_grad()
def prepare(
    method: Method,
    population: Population,
    condition: Condition,
    seed: int,
    *,
    label: int = -1,
    context: Sequence[Population] = (),
) -> Prepared:
    """Condition a method on a population and a treatment, once for all chunks of its cells.

    The subsamples that the embedder sees depend on `seed` and the sample's name only, not on the
    order of the cells or on what else is predicted; draws of noise on the condition besides.

    Args:
        method: A trained method.
        population: All control cells of the sample.
        condition: A trained treatment.
        seed: Seed of the prediction.
        label: Code of the sample if it was trained on, else -1.
        context: Population that the embedder sees in place of this one; of several it sees one subsample
            each, whose contexts are merged like those of one population: the average population.
    """
    rng = stream(seed, "context", population.name)
    needs = method.needs.context
    size = needs.cells or 1
    if len(context) > 1:
        blocks = one_of_each(context, size, label, rng)
    else:
        seen = context[0] if context else population
        blocks = cover(seen, size, label, rng, at_most=max(1, needs.max_cells // size))
    covariates = population.covariates.to(population.cells).unsqueeze(0)
    conditioning = method.prepare(blocks, method.shape.encode([condition], covariates))
    noise = stream(seed, "noise", population.name, condition.label)
    return Prepared(method.start(population.cells, noise), conditioning)


@torch.no_grad()
def transport(
    method: Method, prepared: Prepared, *, times: Sequence[float] = (1.0,), chunk: int = 8192
) -> Transported:
    """Carry cells in chunks of at most `chunk`; the result does not depend on the chunks.

    Adaptive steps are those that the worst cell of a chunk needs: with them it does, within the tolerance.

    Args:
        method: A trained method.
        prepared: From `prepare`, or some of its cells.
        times: Flow times to keep the cells at, ascending, within [0, 1].
        chunk: Cells per call, a bound on memory.
    """
    chunks = prepared.start.split(chunk)
    return Transported.concatenated([method.transport(x0, prepared.conditioning, times) for x0 in chunks])
