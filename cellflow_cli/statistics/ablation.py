"""Context ablation: the model given its own control population, another one, the average one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cellflow_cli.statistics._json import plain_fields
from cellflow_cli.statistics.intervals import MIN_GROUPS, PairedDifference, intervals
from cellflow_cli.statistics.lines import MODEL, Lines
from cellflow_cli.statistics.means import Count, GroupMeans, better_than, by_group, over_groups

OTHER, AVERAGE = "model, other population", "model, average population"
PREDICTORS = (OTHER, AVERAGE)


@dataclass(frozen=True, kw_only=True)
class ContextEffect:
    """One metric of the model given its own population, beside the model given another one.

    Attributes:
        mean: Mean over groups of the model given the other population.
        paired: Difference, own minus other population.
        better: On how many groups the own population is better.
        matters: Whether the population matters: yes, no, reverse (the own population is worse) or
            unclear. With six groups or more the interval decides, with two to five all of them have to
            agree.
    """

    mean: float | None
    paired: PairedDifference
    better: Count
    matters: str

    def to_json(self) -> dict[str, Any]:
        """All of it side by side."""
        parts = {**plain_fields(self.paired), **plain_fields(self.better)}
        return {"mean": self.mean, **parts, "matters": self.matters}


@dataclass(frozen=True)
class Ablation:
    """Whether the population matters; or that it is not known, and why.

    Attributes:
        predictors: For each of `PREDICTORS` and each metric.
        groups: For each group, predictor (the model among them) and metric the mean over its conditions.
        reason: Why there is none.
    """

    predictors: Mapping[str, Mapping[str, ContextEffect]] = field(default_factory=dict)
    groups: GroupMeans = field(default_factory=dict)
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Both tables, or the reason alone."""
        return {"reason": self.reason} if self.reason else plain_fields(self)


def ablation(lines: Lines, best: Mapping[str, str], seed: int = 0) -> Ablation:
    """Model beside the same model given another population; cells and condition stay the same.

    Args:
        lines: Scores.
        best: Best value of each metric: low, high or one.
        seed: For the bootstrap.
    """
    values = lines.table[lines.table["predictor"].isin(PREDICTORS)]
    if values.empty:
        return Ablation(reason="it takes the model, `--model MODEL`")
    if values["value"].isna().all():
        return Ablation(reason=str(values["reason"].iloc[0]))
    return Ablation(
        predictors={name: _effects(lines, name, best, seed) for name in PREDICTORS},
        groups=by_group(lines, (MODEL, *PREDICTORS), list(best)),
    )


def _effects(lines: Lines, predictor: str, best: Mapping[str, str], seed: int) -> dict[str, ContextEffect]:
    means = over_groups(lines, [predictor], list(best))[predictor]
    differences, counts = intervals(lines, predictor, best, seed), better_than(lines, predictor, best)
    return {
        metric: ContextEffect(
            mean=means[metric].mean,
            paired=differences[metric],
            better=counts[metric],
            matters=_matters(differences[metric], counts[metric], wish),
        )
        for metric, wish in best.items()
    }


def _matters(paired: PairedDifference, better: Count, wish: str) -> str:
    if paired.difference is None:
        return "unclear"
    sign = 1 if wish == "high" else -1
    if better.n >= MIN_GROUPS and paired.low is not None and paired.high is not None:
        ends = sorted(sign * end for end in (paired.low, paired.high))
        if ends == [0, 0]:
            return "no"
        return "yes" if ends[0] > 0 else "reverse" if ends[1] < 0 else "unclear"
    if paired.difference == 0:
        return "no"
    if better.n > 1 and better.k in (0, better.n):
        return "yes" if better.k else "reverse"
    return "unclear"
