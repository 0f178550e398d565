"""Squared correlation of feature-feature correlations: `r-features` squared."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics.r_features import r_features


def r2_features(comparison: Comparison) -> MetricValue:
    r"""Square of `r-features`, so that its name is true; it no longer tells the sign.

    r^2 = [corr_{g<h}(corr_i(x_ig, x_ih), corr_j(y_jg, y_jh))]^2

    Args:
        comparison: Genes or markers, shapes [n, g] and [m, g].

    Returns:
        Between 0 and 1; undefined where `r-features` is.

    Source: Atanackovic et al. (2025), Meta Flow Matching, by the name; the figures there are of r.
    """
    r, reason = r_features(comparison)
    return MetricValue(None if r is None else r * r, reason)


ENTRY = Metric(r2_features, best="high", symmetric=True, space="genes")
