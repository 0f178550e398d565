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
        values: The metric of each split, one or more. The first is that of the split which all rows are
            compared on: without a value there, none is given, so that means of the floor and of the
            rows are over the same populations. Further splits without a value are left out.

    Returns:
        value: The mean with the remark of the first split, or its reason if it has no value.
        se: NaN below two values.
    """
    numbers = [v.value for v in values if v.value is not None]
    if values[0].value is None:
        return values[0], math.nan
    se = float(np.std(numbers, ddof=1)) / math.sqrt(len(numbers)) if len(numbers) > 1 else math.nan
    return MetricValue(float(np.mean(numbers)), values[0].reason), se
