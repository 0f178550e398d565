"""Scores on a common scale: zero is no effect, one is as good as the floor."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cellflow_cli.published_metrics import find
from cellflow_cli.statistics.lines import FLOOR, NULL, Lines, group_means

ERRORS = 3
"""Standard errors that null and floor must be apart."""


@dataclass(frozen=True)
class NormalisedScore:
    """The part of the way from null to floor that a predictor covers, not clipped; or a reason."""

    value: float | None
    reason: str = ""


def normalised(
    lines: Lines, predictors: Sequence[str], best: Mapping[str, str], splits: int
) -> dict[str, dict[str, NormalisedScore]]:
    r"""For each predictor and metric the part of the way from null to floor that it covers, not clipped.

    score = (null - predictor) / (null - floor)

    Each of the three is the mean over conditions within a group, then over groups, over the
    conditions where all three have a value. The null is the predictor `identity`: controls as prediction.

    The null is held against one split of the measured cells, the floor is a mean over k of them with
    standard error s. Where there is nothing to predict the null is as noisy as one split, and all c
    conditions of a group hold it against the same controls, so that it may be off by the same in all of
    them. The squared standard error of the distance of both, in one group, is

        mean over conditions of s^2 / c + mean over conditions of k s^2

    Between replicates s is no smaller than of random halves (see `floor.replicated`).

    Args:
        lines: Scores, with the standard error of the floor over its splits.
        predictors: Whose scores.
        best: Best value of each metric: low, high or one.
        splits: k.

    Returns:
        For each predictor and metric a value; None with a reason where the null is not worse than the floor
        by more than three standard errors, where one of the three is missing, or where the metric looks at
        changes, of which the null has none.
    """
    return {
        name: {metric: _normalised(lines, name, metric, best[metric], splits) for metric in best}
        for name in predictors
    }


def _normalised(lines: Lines, predictor: str, metric: str, wish: str, splits: int) -> NormalisedScore:
    if wish == "one":
        return NormalisedScore(None, "the best value is one, which null and floor do not enclose")
    if find(metric).change:
        return NormalisedScore(None, "the null is a change of zero, and what it scores is noise")
    three = lines.beside({"predictor": predictor, "null": NULL, "floor": FLOOR}, metric)
    if three.empty:
        return NormalisedScore(
            None, f"no condition with a value of `{predictor}`, of the null (`{NULL}`) and of the floor"
        )
    means = group_means(three).mean()
    error = _gap_error(lines, metric, three.index, splits)
    if error is None:
        return NormalisedScore(None, "the error of the floor is not known: it needs two splits or more")
    gap = means["null"] - means["floor"]
    if (-gap if wish == "high" else gap) <= ERRORS * error:
        return NormalisedScore(
            None,
            f"null ({means['null']:.3g}) is not worse than floor ({means['floor']:.3g}) by more than "
            f"{ERRORS} standard errors ({error:.2g}): hardly anything to predict",
        )
    return NormalisedScore(float((means["null"] - means["predictor"]) / gap))


def _gap_error(lines: Lines, metric: str, conditions: pd.Index, splits: int) -> float | None:
    """Standard error of null minus floor, means over conditions, then over groups; None if not known."""
    if "se" not in lines.table:
        return None
    errors = lines.of(FLOOR, metric)["se"].reindex(conditions)
    if errors.isna().any():
        return None
    groups = errors.pow(2).groupby(level="group")
    of_group = groups.mean() * (1 / groups.size() + splits)
    return math.sqrt(of_group.sum()) / groups.ngroups
