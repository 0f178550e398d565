"""Total predicted over total real variance: below one where a prediction collapses."""

from jaxtyping import Float64
from torch import Tensor

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue


def variance_ratio(comparison: Comparison) -> MetricValue:
    r"""Ratio of summed feature variances, in float64.

    ratio = sum_d var_i(x_id) / sum_d var_j(y_jd), variances with n - 1

    Args:
        comparison: Flow features, shapes [n, d] and [m, d].

    Returns:
        Zero or more, best is one; undefined below two cells or without real variance.

    Source: ours, a guard against predictions that collapse.
    """
    return ratio_of_variances(comparison.predicted, comparison.target)


def ratio_of_variances(predicted: Float64[Tensor, "n d"], target: Float64[Tensor, "m d"]) -> MetricValue:
    """The ratio for any two sets of cells, or why there is none."""
    n, m = len(predicted), len(target)
    if min(n, m) < 2:
        return MetricValue(None, f"needs two cells or more, found {n} predicted and {m} target")
    real = float(target.var(0).sum())
    if real == 0:
        return MetricValue(None, "the target cells have no variance")
    return MetricValue(float(predicted.var(0).sum()) / real)


ENTRY = Metric(variance_ratio, best="one", symmetric=False)
