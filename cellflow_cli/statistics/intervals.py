"""How sure it is that the model differs from a baseline: paired bootstrap over groups."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import scipy.stats
import torch

from cellflow_cli import rng
from cellflow_cli.statistics.lines import MODEL, Lines, group_means
from cellflow_cli.statistics.means import from_one

DRAWS = 10_000
MIN_GROUPS = 6
"""Below it an interval would be drawn from a handful of values: the table of groups says more."""


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """One metric of the model beside that of a baseline, over the conditions where both have a value.

    Attributes:
        difference: Mean over groups of model minus baseline; None if they share no condition.
        low, high: Ends of the interval; None below six groups.
        n_groups: Groups with a difference.
        reason: Why there is no interval.
        model, baseline: Means of both.
        n_conditions: Conditions where both have a value.
        n_missing: Conditions where the model alone has one.
    """

    difference: float | None
    low: float | None
    high: float | None
    n_groups: int
    reason: str = ""
    model: float | None
    baseline: float | None
    n_conditions: int
    n_missing: int


def intervals(
    lines: Lines, baseline: str, best: Mapping[str, str], seed: int = 0
) -> dict[str, PairedDifference]:
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
        baseline: Predictor to compare with.
        best: Best value of each metric: low, high or one.
        seed: For the draws.

    Source: Hesterberg (2015), What teachers should know about the bootstrap, The American Statistician 69
    (the expanded percentile interval).
    """
    return {
        metric: _paired(lines, baseline, metric, wish, rng.stream(seed, "bootstrap", baseline, metric))
        for metric, wish in best.items()
    }


def covers(entry: PairedDifference) -> bool:
    """Whether a baseline has a value on at least half of the conditions where the model has one.

    One that is scored on a few conditions has no claim to be the best; one that lacks a few has not
    lost it.
    """
    return entry.n_conditions >= entry.n_missing


def _paired(lines: Lines, baseline: str, metric: str, wish: str, draws: torch.Generator) -> PairedDifference:
    both = lines.beside({"model": MODEL, "baseline": baseline}, metric)
    means = group_means(both)
    cost = means.map(from_one) if wish == "one" else means
    differences = [d for d in (cost["model"] - cost["baseline"]).tolist() if math.isfinite(d)]
    n = len(differences)
    low, high = _interval(differences, draws) if n >= MIN_GROUPS else (None, None)
    return PairedDifference(
        difference=sum(differences) / n if n else None,
        low=low,
        high=high,
        n_groups=n,
        reason="" if n >= MIN_GROUPS else f"needs {MIN_GROUPS} groups or more, found {n}",
        model=_mean(means["model"]),
        baseline=_mean(means["baseline"]),
        n_conditions=len(both),
        n_missing=int(lines.of(MODEL, metric)["value"].notna().sum()) - len(both),
    )


def _mean(values: pd.Series) -> float | None:
    return float(values.mean()) if len(values) else None


def _interval(differences: list[float], generator: torch.Generator) -> tuple[float, float]:
    n = len(differences)
    values = torch.tensor(differences, dtype=torch.float64)
    drawn = values[torch.randint(n, (DRAWS, n), generator=generator)].mean(1)
    tail = float(scipy.stats.norm.sf(math.sqrt(n / (n - 1)) * scipy.stats.t.ppf(0.975, n - 1)))
    low, high = torch.quantile(drawn, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high
