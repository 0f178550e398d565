"""Total predicted over total real variance: below one where a prediction collapses."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue


def variance_ratio(comparison: Comparison) -> MetricValue:
    r"""Ratio of summed feature variances, in float64.

    ratio = sum_d var_i(x_id) / sum_d var_j(y_jd), variances with n - 1

    Args:
        comparison: Flow features, shapes [n, d] and [m, d].

    Returns:
        Zero or more, best is one; undefined below two cells or without real variance.
    """
    n, m = len(comparison.predicted), len(comparison.target)
    if min(n, m) < 2:
        return MetricValue(None, f"needs two cells or more, found {n} predicted and {m} target")
    real = float(comparison.target.var(0).sum())
    if real == 0:
        return MetricValue(None, "the target cells have no variance")
    return MetricValue(float(comparison.predicted.var(0).sum()) / real)


METRIC = Metric(variance_ratio, best="one", symmetric=False)
