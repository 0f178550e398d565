"""The measured cells with every feature shuffled by itself."""

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.degenerate._truth import Truth


def shuffled_features(truth: Truth, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """Cells put together from the features of different cells, shape [n, d].

    Every feature keeps its distribution; what features have to do with each other is lost.
    """
    n, d = truth.measured.shape
    order = torch.stack([torch.randperm(n, generator=rng) for _ in range(d)], dim=1)
    return truth.measured.gather(0, order.to(truth.measured.device))


ENTRY = shuffled_features
