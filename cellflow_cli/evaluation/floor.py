"""The noise floor: how well one half of the measured cells predicts the other half."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from cellflow_cli.metrics import MetricValue


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


def averaged(values: Sequence[MetricValue]) -> tuple[MetricValue, float]:
    """Mean of one metric over several splits into halves, and its standard error.

    se = sd / (number of splits)^1/2

    The splits divide the same cells, so this is the error that comes from splitting, not the one
    that comes from having measured these cells.

    Args:
        values: The metric of each split, one or more; splits without a value are left out.

    Returns:
        value: The mean with the first remark, or the first reason if no split has a value.
        se: NaN below two values.
    """
    numbers = [v.value for v in values if v.value is not None]
    if not numbers:
        return values[0], math.nan
    se = float(np.std(numbers, ddof=1)) / math.sqrt(len(numbers)) if len(numbers) > 1 else math.nan
    remark = next(v.reason for v in values if v.value is not None)
    return MetricValue(float(np.mean(numbers)), remark), se
