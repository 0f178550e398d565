"""The verdict on a model: is it better than the best baseline, and how sure is that?"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from cellflow_cli.statistics.baseline_ranking import BaselineComparison, rank_baselines
from cellflow_cli.statistics.intervals import MIN_GROUPS
from cellflow_cli.statistics.lines import MODEL
from cellflow_cli.statistics.summary import Summary

Outcome = Literal["better", "worse", "inconclusive", "not-a-test", "unknown"]
HEADLINES = ("energy", "w1", "w2", "mmd-median", "mmd-rbf", "r2-delta", "r2-mean")
"""The metric of the verdict is the first of these that the model has a value of."""


class Decision(NamedTuple):
    """What a comparison with one baseline says.

    Attributes:
        outcome: The model is better or worse, or that is not clear.
        certain: True where a 95 % interval over six groups or more excludes zero.
    """

    outcome: Outcome
    certain: bool


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A conclusion and what it rests on.

    Attributes:
        outcome: `better` or `worse` than the best baseline; `inconclusive`; `not-a-test` where every
            scored group was trained on; `unknown` where there is nothing to compare.
        certain: True where a 95 % interval over six groups or more excludes zero.
        metric: What the verdict is about; None if the model has a value of no metric that would do.
        baselines: Compared with the model, the hardest to beat first.
        not_compared: Baselines that share no value with the model.
    """

    outcome: Outcome
    certain: bool = False
    metric: str | None = None
    baselines: tuple[BaselineComparison, ...] = ()
    not_compared: tuple[str, ...] = ()

    @property
    def best(self) -> BaselineComparison | None:
        """The best baseline."""
        return self.baselines[0] if self.baselines else None

    @property
    def others_ahead(self) -> tuple[str, ...]:
        """Further baselines that the model is behind."""
        return tuple(one.baseline for one in self.baselines[1:] if one.lead < 0)


def reach_verdict(summary: Summary) -> Verdict:
    """The verdict on the scored groups.

    The best baseline is the one that the model has the smallest lead over, or the largest lag behind, on
    the conditions where both have a value; baselines without a value on more than half of the model's
    conditions count only if all are, but the model is not called better if it is behind one of them. With
    six groups or more the 95 % bootstrap interval decides; below, the model is called better or worse only
    if it is so on every group.
    """
    metric = headline(summary)
    baselines = rank_baselines(summary, metric) if metric else ()
    if not baselines:
        return Verdict(outcome="unknown", metric=metric)
    compared = {one.baseline for one in baselines}
    decision = decide(baselines[0])
    if decision.outcome == "better" and any(one.lead < 0 for one in baselines[1:]):
        decision = Decision("inconclusive", False)
    if trained_on_all(summary):
        decision = Decision("not-a-test", False)
    return Verdict(
        outcome=decision.outcome,
        certain=decision.certain,
        metric=metric,
        baselines=baselines,
        not_compared=tuple(name for name in summary.intervals if name not in compared),
    )


def decide(one: BaselineComparison) -> Decision:
    """What the comparison with one baseline says by itself."""
    if one.better.n >= MIN_GROUPS and one.lead_interval is not None:
        low, high = one.lead_interval
        if low > 0:
            return Decision("better", True)
        return Decision("worse", True) if high < 0 else Decision("inconclusive", False)
    if one.better.n > 1 and one.better.k == one.better.n:
        return Decision("better", False)
    if one.better.n > 1 and one.better.k == 0 and one.lead < 0:
        return Decision("worse", False)
    return Decision("inconclusive", False)


def headline(summary: Summary) -> str | None:
    """The metric of the verdict; None if the model has a value of none that would do."""
    means = summary.predictors[MODEL]
    return next((name for name in HEADLINES if name in means and means[name].mean is not None), None)


def trained_on_all(summary: Summary) -> bool:
    """Whether every scored group was trained on."""
    seen = set(summary.seen_in_training)
    return bool(seen) and set(summary.groups) <= seen
