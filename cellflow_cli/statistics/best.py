"""Which predictor is the best."""

from cellflow_cli.statistics.lines import DECODED, FLOOR
from cellflow_cli.statistics.means import from_one
from cellflow_cli.statistics.summary import Summary


def winners(summary: Summary, metric: str) -> set[str]:
    """Predictors with the best mean among model and baselines; measured cells are not in the contest.

    None where they lack values in different numbers of conditions: means over different conditions are
    no contest.
    """
    means = {
        name: entries[metric]
        for name, entries in summary.predictors.items()
        if name not in (FLOOR, DECODED) and entries[metric].mean is not None
    }
    if len({entry.n_missing for entry in means.values()}) > 1:
        return set()
    costs = {name: _cost(summary, name, metric) for name in means}
    return {name for name, cost in costs.items() if cost == min(costs.values())}


def _cost(summary: Summary, predictor: str, metric: str) -> float:
    """Low is best. Of ratios the distance from one in each group: too narrow and too wide do not cancel."""
    best = summary.metrics[metric].best
    if best == "one":
        groups = [means[predictor][metric] for means in summary.groups.values()]
        distances = [from_one(mean) for mean in groups if mean is not None]
        return sum(distances) / len(distances)
    mean = summary.predictors[predictor][metric].mean
    if mean is None:
        raise ValueError(f"`{predictor}` has no mean of {metric}")
    return -mean if best == "high" else mean
