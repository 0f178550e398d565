"""Squared correlation of feature-feature correlations: `r-features` squared."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics.r_features import r_features


def r2_features(comparison: Comparison) -> MetricValue:
    """Square of `r-features`, so that its name is true; it no longer tells the sign.

    Args:
        comparison: Genes or markers, shapes [n, g] and [m, g].

    Returns:
        Between 0 and 1; undefined where `r-features` is.
    """
    r, reason = r_features(comparison)
    return MetricValue(None if r is None else r * r, reason)


METRIC = Metric(r2_features, best="high", symmetric=True, space="genes")
