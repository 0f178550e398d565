"""Correlation of feature-feature correlations, unsquared: what the paper calls r2."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics._correlation import pearson


def r_features(comparison: Comparison) -> MetricValue:
    r"""Pearson correlation between the upper triangles of two correlation matrices, in float64.

    r = corr_{g<h}(corr_i(x_ig, x_ih), corr_j(y_jg, y_jh))

    Args:
        comparison: Genes or markers, shapes [n, g] and [m, g].

    Returns:
        Between -1 and 1; undefined below three features that vary in both sets.

    Source: Atanackovic et al. (2025), Meta Flow Matching (there named r^2).
    Differs: a feature that is constant in one of the sets has no correlation with any other and is
    left out; how many those are stands beside the value.
    """
    correlations = comparison.correlations
    r = pearson(correlations.predicted, correlations.target)
    if r is None:
        left_out = f" ({correlations.remark})" if correlations.remark else ""
        return MetricValue(
            None, f"fewer than three features vary in both, or all correlations are equal{left_out}"
        )
    return MetricValue(r, correlations.remark)


ENTRY = Metric(r_features, best="high", symmetric=True, space="genes")
