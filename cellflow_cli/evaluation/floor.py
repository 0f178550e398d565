"""The noise floor: how well one half of the measured cells predicts the other half."""

import numpy as np
import torch


def halves(rows: np.ndarray, n: int, rng: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint random subsets of n rows each: the target of every row, and the floor's prediction.

    Args:
        rows: Positions of the measured cells, at least 2 n of them.
        n: Cells in each half.
        rng: Draws the halves.

    Returns:
        target: Positions, shape [n].
        other: Positions, shape [n], none of them in `target`.
    """
    if 2 * n > len(rows):
        raise ValueError(f"two halves of {n} cells do not fit into {len(rows)}")
    order = torch.randperm(len(rows), generator=rng).numpy()
    return rows[order[:n]], rows[order[n : 2 * n]]


def some(rows: np.ndarray, n: int, rng: torch.Generator) -> np.ndarray:
    """At most n of the rows, drawn without replacement, in random order."""
    return rows[torch.randperm(len(rows), generator=rng).numpy()[:n]]
