"""Numbers of one comparison: several metrics side by side, and the share of values out of range."""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.errors import MetricError
from cellflow_cli.metrics import Comparison, Metric, MetricValue
from cellflow_cli.published_metrics import find


def compute(names: Sequence[str], comparison: Comparison) -> dict[str, MetricValue]:
    """The named metrics of one comparison; one that cannot be computed says why.

    Two run at a time: exact transport takes nearly all of it, on one core, and leaves Python's
    lock, so that `w1` and `w2` together last as long as one of them.

    Args:
        names: Names of metrics, ours or of other projects (see `published_metrics.find`).
        comparison: Predicted, target and control cells.

    Raises:
        ConfigError: If there is no metric of a name.
    """
    entries = {name: _entry(name) for name in names}
    if reason := why_not(comparison):
        return dict.fromkeys(names, MetricValue(None, reason))
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(names, pool.map(lambda name: _value(entries[name], comparison), names), strict=True))


def why_not(comparison: Comparison) -> str:
    """Why no metric at all can be computed, or an empty string."""
    for role in ("predicted", "target"):
        if not len(getattr(comparison, role)):
            return f"no {role} cells"
    return comparison.non_finite()


def share_outside(cells: Float[Tensor, "n g"], real: Float[Tensor, "m g"]) -> MetricValue:
    r"""Share of the values that lie outside the range of their gene or marker in measured cells.

    share = |{(i, g): x_ig < min_j y_jg or x_ig > max_j y_jg}| / (n g)

    No metric of the catalog: cells that are all at the mean have none. Of one more real cell, too, each
    feature lies outside with probability 2 / (m + 1), if no values are equal.

    Args:
        cells: Genes or markers, shape [n, g].
        real: Cells whose smallest and largest values are the range, shape [m, g].

    Returns:
        The share in [0, 1], or why there is none.
    """
    if not len(cells) or not len(real):
        return MetricValue(None, f"no {'real ' if len(cells) else ''}cells")
    if not (bool(torch.isfinite(cells).all()) and bool(torch.isfinite(real).all())):
        return MetricValue(None, "values that are not finite")
    low, high = torch.aminmax(real, dim=0)
    return MetricValue(float(((cells < low) | (cells > high)).double().mean()))


@functools.cache
def _entry(name: str) -> Metric:
    """The catalog looks through installed packages each time: 13 ms, for every metric and predictor."""
    return find(name)


def _value(metric: Metric, comparison: Comparison) -> MetricValue:
    try:
        return metric.function(comparison)
    except MetricError as error:
        return MetricValue(None, str(error))
