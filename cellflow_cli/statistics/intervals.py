"""How sure it is that the model differs from a baseline: paired bootstrap over groups."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import scipy.stats
import torch

from cellflow_cli import rng
from cellflow_cli.statistics.lines import Lines, group_means
from cellflow_cli.statistics.means import from_one

DRAWS = 10_000
MIN_GROUPS = 6
"""Below it an interval would be drawn from a handful of values: the table of groups says more."""


def intervals(
    lines: Lines, baseline: str, best: Mapping[str, str], seed: int = 0
) -> dict[str, dict[str, Any]]:
    r"""For each metric the difference model minus baseline, with a 95 % interval over groups.

    difference = mean over groups of [mean over conditions of (model - baseline)]

    The interval holds the middle 1 - 2 a of that mean over 10,000 draws of as many groups with
    replacement,

        a = Phi(-(G / (G - 1))^1/2 t_{G-1, 0.975}),  2.5 % for many groups G

    since the middle 95 % are too narrow for few groups: the draws spread like the G groups themselves, not
    like what these were taken from. Only conditions where both have a value count. Negative is better where
    the best value is low, positive where it is high; where it is one, groups are first turned into their
    distance from one, |log mean|, and negative is better.

    Args:
        lines: Scores.
        baseline: Row to compare with.
        best: Best value of each metric: low, high or one.
        seed: For the draws.

    Returns:
        For each metric `difference`, `low`, `high` and `n_groups`; low and high are None, with a
        `reason`, below six groups. `model` and `baseline` are the means of both over the conditions
        where both have a value, `n_conditions` in number, and `n_missing` counts the conditions where
        the model alone has one.

    Source: Hesterberg (2015), What teachers should know about the bootstrap, The American Statistician 69
    (the expanded percentile interval).
    """
    return {
        metric: _paired(lines, baseline, metric, wish, rng.stream(seed, "bootstrap", baseline, metric))
        for metric, wish in best.items()
    }


def covers(entry: Mapping[str, Any]) -> bool:
    """Whether a baseline has a value on at least half of the conditions where the model has one.

    One that is scored on a few conditions has no claim to be the best; one that lacks a few has not
    lost it.

    Args:
        entry: One metric of `intervals`.
    """
    return bool(entry["n_conditions"] >= entry["n_missing"])


def _paired(lines: Lines, baseline: str, metric: str, wish: str, draws: torch.Generator) -> dict[str, Any]:
    both = lines.beside({"model": "model", "baseline": baseline}, metric)
    means = group_means(both)
    cost = means.map(from_one) if wish == "one" else means
    differences = [d for d in (cost["model"] - cost["baseline"]).tolist() if math.isfinite(d)]
    return {
        **_interval(differences, draws),
        "model": _mean(means["model"]),
        "baseline": _mean(means["baseline"]),
        "n_conditions": len(both),
        "n_missing": int(lines.of("model", metric)["value"].notna().sum()) - len(both),
    }


def _mean(values: pd.Series) -> float | None:
    return float(values.mean()) if len(values) else None


def _interval(differences: list[float], generator: torch.Generator) -> dict[str, Any]:
    n = len(differences)
    found = {"difference": sum(differences) / n if n else None, "low": None, "high": None, "n_groups": n}
    if n < MIN_GROUPS:
        return {**found, "reason": f"needs {MIN_GROUPS} groups or more, found {n}"}
    values = torch.tensor(differences, dtype=torch.float64)
    drawn = values[torch.randint(n, (DRAWS, n), generator=generator)].mean(1)
    tail = float(scipy.stats.norm.sf(math.sqrt(n / (n - 1)) * scipy.stats.t.ppf(0.975, n - 1)))
    low, high = torch.quantile(drawn, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return {**found, "low": low, "high": high}
