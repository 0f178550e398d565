"""Several metrics of one comparison, side by side."""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cellflow_cli.errors import MetricError
from cellflow_cli.metrics import Comparison, Metric, MetricValue
from cellflow_cli.published_metrics import find


def compute(names: Sequence[str], comparison: Comparison) -> dict[str, MetricValue]:
    """The named metrics of one comparison; one that cannot be computed says why.

    Two run at a time: exact transport takes nearly all of it, on one core, and leaves Python's
    lock, so that `w1` and `w2` together last as long as one of them.

    Args:
        names: Names of metrics, ours or of other projects (see `definitions.find`).
        comparison: Predicted, target and control cells.

    Raises:
        ConfigError: If there is no metric of a name.
    """
    entries = {name: _entry(name) for name in names}
    if wrong := why_not(comparison):
        return dict.fromkeys(names, MetricValue(None, wrong))
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(names, pool.map(lambda name: _value(entries[name], comparison), names), strict=True))


def why_not(comparison: Comparison) -> str:
    """Why no metric at all can be computed, or an empty string."""
    for role in ("predicted", "target"):
        if not len(getattr(comparison, role)):
            return f"no {role} cells"
    return comparison.non_finite()


@functools.cache
def _entry(name: str) -> Metric:
    """The catalog looks through installed packages each time: 13 ms, for every metric and row."""
    return find(name)


def _value(metric: Metric, comparison: Comparison) -> MetricValue:
    try:
        return metric.function(comparison)
    except MetricError as error:
        return MetricValue(None, str(error))
