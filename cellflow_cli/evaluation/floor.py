"""The noise floor: how well one half of the measured cells predicts the other, or replicates others."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int

from cellflow_cli.metrics import MetricValue

BETWEEN = "between replicates"
"""Remark of a value of the floor that is not between random halves."""

MIN_CELLS = 10
"""Cells a side that a cell type needs, and below which replicates do not lower their number."""

_ORDERS = 200  # of replicates; up to five of them, every division is all but certain to be among them


class Sides(NamedTuple):
    """Measured cells on the two sides of a comparison, as rows of the truth.

    Attributes:
        target: What predictors are compared with, shape [n].
        other: The floor's prediction, shape [n], none of them in `target`; None where none are left.
    """

    target: Int[np.ndarray, " n"]
    other: Int[np.ndarray, " n"] | None


def split_half(rows: Int[np.ndarray, " m"], n: int, rng: torch.Generator) -> Sides:
    """Two disjoint random subsets of n rows each.

    Args:
        rows: Positions of the measured cells, at least 2 n of them.
        n: Cells in each half.
        rng: Draws the halves.
    """
    if 2 * n > len(rows):
        raise ValueError(f"two halves of {n} cells do not fit into {len(rows)}")
    order = torch.randperm(len(rows), generator=rng).numpy()
    return Sides(rows[order[:n]], rows[order[n : 2 * n]])


def subsample(rows: Int[np.ndarray, " m"], n: int, rng: torch.Generator) -> Int[np.ndarray, " n"]:
    """At most n of the rows, drawn without replacement, in random order."""
    return rows[torch.randperm(len(rows), generator=rng).numpy()[:n]]


def replicate_splits(
    replicates: Sequence[Int[np.ndarray, " r"]], n: int, splits: int, rng: torch.Generator
) -> tuple[int, list[Sides]]:
    """Divisions of whole replicates into two sides, and n cells of each side.

    Replicates are put in random order and cut where the smaller side has most cells, so that sides of
    equal replicates hold equally many of them. Orders that give n cells on either side count; where none
    does, n is lowered to what the best can give, but to no less than half and to no less than
    `MIN_CELLS`. The sides change roles from one division to the next.

    With two replicates there is one division: all splits are then of it, and differ in the cells drawn.

    Args:
        replicates: Positions of the measured cells of each replicate.
        n: Cells wanted on either side.
        splits: Number of divisions; they may repeat.
        rng: Draws orders and cells.

    Returns:
        n: Cells on either side.
        sides: Of each division; none where replicates cannot be divided so.
    """
    if len(replicates) < 2:
        return n, []
    sizes = np.array([len(rows) for rows in replicates])
    orders = np.stack([torch.randperm(len(sizes), generator=rng).numpy() for _ in range(_ORDERS)])
    first = sizes[orders].cumsum(axis=1)[:, :-1]
    smaller = np.minimum(first, sizes.sum() - first)
    largest = int(smaller.max())
    if largest < n and largest < max(n / 2, MIN_CELLS):
        return n, []
    n = min(n, largest)
    usable = np.flatnonzero(smaller.max(axis=1) >= n)
    sides = []
    for i in range(splits):
        at = usable[i % len(usable)]
        parts = np.split(orders[at], [smaller[at].argmax() + 1])
        first_side, second_side = (
            subsample(np.concatenate([replicates[j] for j in part]), n, rng) for part in parts
        )
        sides.append(Sides(second_side, first_side) if i % 2 else Sides(first_side, second_side))
    return n, sides


def averaged(values: Sequence[MetricValue]) -> tuple[MetricValue, float]:
    """Mean of one metric over several splits into halves, and its standard error.

    se = sd / (number of splits)^1/2

    The splits divide the same cells, so this is the error that comes from splitting, not the one
    that comes from having measured these cells.

    Args:
        values: The metric of each split, one or more. The first is that of the split which all predictors
            are compared on: without a value there, none is given, so that means of the floor and of the
            predictors are over the same populations. Other splits without a value are left out.

    Returns:
        value: The mean with the remark of the first split, or its reason if it has no value.
        se: NaN below two values.
    """
    numbers = [v.value for v in values if v.value is not None]
    if values[0].value is None:
        return values[0], math.nan
    se = float(np.std(numbers, ddof=1)) / math.sqrt(len(numbers)) if len(numbers) > 1 else math.nan
    return MetricValue(float(np.mean(numbers)), values[0].reason), se


def replicated(random: Sequence[MetricValue], between: Sequence[MetricValue]) -> tuple[MetricValue, float]:
    """Mean of one metric over divisions of whole replicates, and a standard error that is safe to rest on.

    Few replicates have few divisions (two have one), so the spread between divisions understates what
    other replicates would change, and may be zero. The larger of its error and of that of random halves
    stands, which holds at least the noise of n cells; what replicates add to the error is not in it.

    Args:
        random: The metric of each split into random halves, the first that of all predictors.
        between: The metric of each division; those without a value are left out.

    Returns:
        value: With the remark `BETWEEN`; or the reason why the first half has none.
        se: NaN below two values of both.
    """
    half, least = averaged(random)
    if half.value is None:
        return half, least
    mean, se = averaged(sorted(between, key=lambda v: v.value is None))
    if mean.value is None:
        return mean, least
    return MetricValue(mean.value, "; ".join(filter(None, [mean.reason, BETWEEN]))), float(np.fmax(se, least))
