"""A bar that the user sets: the model must not be worse than a baseline."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import ConfigError, MetricError, listed, nearest
from cellflow_cli.published_metrics import find
from cellflow_cli.statistics.lines import MODEL, Lines, group_means
from cellflow_cli.statistics.means import from_one, is_better

DEFAULT_METRIC = "energy"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The model held against a bar: only populations where the baseline has a value count.

    Attributes:
        baseline, metric: Names.
        model_value, baseline_value: Means over conditions within a group, then over groups.
        worse: Whether the model's mean is worse; where the best value is one, the mean over groups of
            the distance from one, |log mean|, decides.
        k: Groups where the model is better, of `n_groups`.
        n_groups: Groups compared.
        n_left_out: Populations left out because the baseline has no value.
    """

    baseline: str
    metric: str
    model_value: float
    baseline_value: float
    worse: bool
    k: int
    n_groups: int
    n_left_out: int = 0

    @property
    def text(self) -> str:
        """Both values, and on how many groups the model is better."""
        groups = f"{self.n_groups} {'group' if self.n_groups == 1 else 'groups'}"
        left_out = f"; {self.n_left_out} populations without a value of it are left out"
        return (
            f"{self.metric} {self.model_value:.4g} against {self.baseline_value:.4g} of `{self.baseline}`, "
            f"better on {self.k} of {groups}{left_out if self.n_left_out else ''}"
        )


def check_names(baseline: str, metric: str, scored: Sequence[str]) -> None:
    """Whether there will be something to compare, checked before the work.

    Args:
        baseline: Name of a baseline.
        metric: Name of a metric.
        scored: Metrics that will be scored.

    Raises:
        ConfigError: If there is no such baseline or metric, or the metric will not be scored.
    """
    Catalog("baselines").load(baseline)
    find(metric)
    if metric not in scored:
        raise ConfigError(
            f"Expected the metric of the bar among the metrics that are scored ({listed(scored, 10)}), found "
            f"{metric!r}.{nearest(metric, scored)} Choose it with `--metric`, or score it "
            "with `--metrics` or `--definitions`."
        )


def gate(
    table: pd.DataFrame,
    baseline: str,
    metric: str = DEFAULT_METRIC,
    *,
    seen_in_training: Collection[str] = (),
) -> Gate:
    """Hold the model against a baseline, on groups that training never saw.

    Args:
        table: Scores of both.
        baseline: Name of a baseline.
        metric: Name of a metric.
        seen_in_training: Groups to leave out.

    Raises:
        MetricError: If that cannot be done: no value in common, a population where the model has no
            value and the baseline has one, or every group was trained on. Silence is not a pass.
    """
    unseen = table[~table["group"].isin(set(seen_in_training))]
    if unseen.empty:
        raise _impossible(baseline, metric, "every scored group was trained on. Predict unseen ones")
    lines = Lines(unseen)
    ours, theirs = lines.of(MODEL, metric), lines.of(baseline, metric)
    lacking = ours[ours["value"].isna() & theirs["value"].notna().reindex(ours.index, fill_value=False)]
    if len(lacking):
        raise _impossible(
            baseline, metric, f"no value of the model in {len(lacking)} populations, {_first(lacking)}"
        )
    both = lines.beside({"model": MODEL, "baseline": baseline}, metric)
    if both.empty:
        why = f"no value of the baseline, {_first(theirs)}" if len(theirs) else "no scores of it"
        raise _impossible(baseline, metric, why)
    return _compared(both, baseline, metric, len(ours) - len(both))


def _compared(both: pd.DataFrame, baseline: str, metric: str, n_left_out: int) -> Gate:
    groups, wish = group_means(both), find(metric).best
    costs = (groups.map(from_one) if wish == "one" else groups * (-1 if wish == "high" else 1)).mean()
    better = [is_better(m, b, wish) for m, b in zip(groups["model"], groups["baseline"], strict=True)]
    return Gate(
        baseline=baseline,
        metric=metric,
        model_value=float(groups["model"].mean()),
        baseline_value=float(groups["baseline"].mean()),
        worse=not costs["model"] <= costs["baseline"],
        k=sum(better),
        n_groups=len(groups),
        n_left_out=n_left_out,
    )


def _first(lines: pd.DataFrame) -> str:
    line = lines.iloc[0]
    return f"first for {line['sample']}, {line['treatment']}: {str(line['reason']).rstrip('.')}"


def _impossible(baseline: str, metric: str, why: str) -> MetricError:
    return MetricError(
        f"Expected to compare the {metric} of the model with that of `{baseline}`, as "
        f"`--fail-if-worse-than` asks, found {why}."
    )
