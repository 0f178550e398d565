"""At most so many cells as exact transport can bear."""

import torch
from jaxtyping import Float
from torch import Tensor

MOST_CELLS = 5_000
"""Exact transport of 5,000 against 5,000 cells takes some 5 s and 600 MB, growing as n^2.5 and n^2."""


def at_most(cells: Float[Tensor, "n d"], n: int = MOST_CELLS) -> Float[Tensor, "k d"]:
    """All cells, or n of them, always the same ones, drawn without regard to their order in the file."""
    if len(cells) <= n:
        return cells
    rows = torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))[:n]
    return cells[rows.to(cells.device)]
