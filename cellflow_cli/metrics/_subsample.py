"""At most so many cells as exact transport can bear."""

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.metrics._comparison import Comparison

MAX_CELLS = 5_000
"""Exact transport of 5,000 against 5,000 cells takes some 5 s and 600 MB, growing as n^2.5 and n^2."""


def at_most(cells: Float[Tensor, "n d"], n: int = MAX_CELLS) -> Float[Tensor, "k d"]:
    """All cells, or n of them, always the same ones, drawn without regard to their order in the file."""
    if len(cells) <= n:
        return cells
    rows = torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))[:n]
    return cells[rows.to(cells.device)]


def subsampled(comparison: Comparison) -> tuple[Comparison, str]:
    """The comparison of at most 5,000 cells on either side, features of the flow only, and a remark.

    Returns:
        It is made once; its distance matrices are shared. The remark says how many cells it
        has, if not all of them.
    """
    n, m = len(comparison.predicted), len(comparison.target)
    if max(n, m) <= MAX_CELLS:
        return comparison, ""
    predicted, target = at_most(comparison.predicted, MAX_CELLS), at_most(comparison.target, MAX_CELLS)
    control = at_most(comparison.control, MAX_CELLS)
    smaller = comparison.once(
        "subsampled", lambda: Comparison(predicted=predicted, target=target, control=control)
    )
    return smaller, f"on {len(predicted):,} of {n:,} predicted and {len(target):,} of {m:,} target cells"
