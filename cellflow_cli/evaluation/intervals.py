"""How sure it is that the model differs from a baseline: paired bootstrap over groups."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from cellflow_cli import rng
from cellflow_cli.evaluation._lines import Lines, group_means
from cellflow_cli.evaluation._summary import from_one

DRAWS = 1_000
FEWEST_GROUPS = 6
"""Below it an interval would be drawn from a handful of values: the table of groups says more."""


def intervals(
    lines: Lines, baseline: str, best: Mapping[str, str], seed: int = 0
) -> dict[str, dict[str, Any]]:
    r"""For each metric the difference model minus baseline, with a 95 % interval over groups.

    difference = mean over groups of [mean over conditions of (model - baseline)]

    The interval holds the middle 95 % of that mean over 1,000 draws of as many groups with
    replacement. Only conditions where both have a value count. Negative is better where the best
    value is low, positive where it is high; where it is one, groups are first turned into their
    distance from one, |log mean|, and negative is better.

    Args:
        lines: Scores.
        baseline: Row to compare with.
        best: Best value of each metric: low, high or one.
        seed: For the draws.

    Returns:
        For each metric `difference`, `low`, `high` and `n_groups`; low and high are None, with a
        `reason`, below six groups.

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap, section 13.3 (percentile
    interval).
    """
    return {
        metric: _interval(
            _differences(lines, baseline, metric, wish), rng.stream(seed, "bootstrap", baseline, metric)
        )
        for metric, wish in best.items()
    }


def _differences(lines: Lines, baseline: str, metric: str, wish: str) -> list[float]:
    means = group_means(lines.beside({"model": "model", "baseline": baseline}, metric))
    if wish == "one":
        means = means.map(from_one)
    return [d for d in (means["model"] - means["baseline"]).tolist() if math.isfinite(d)]


def _interval(differences: list[float], generator: torch.Generator) -> dict[str, Any]:
    n = len(differences)
    found = {"difference": sum(differences) / n if n else None, "low": None, "high": None, "n_groups": n}
    if n < FEWEST_GROUPS:
        return {**found, "reason": f"needs {FEWEST_GROUPS} groups or more, found {n}"}
    values = torch.tensor(differences, dtype=torch.float64)
    drawn = values[torch.randint(n, (DRAWS, n), generator=generator)].mean(1)
    low, high = torch.quantile(drawn, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {**found, "low": low, "high": high}
