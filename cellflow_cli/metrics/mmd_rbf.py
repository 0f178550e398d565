"""Squared kernel distance (MMD), biased, mean over six fixed bandwidths: the paper's definition."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics._kernels import kernel_sum

GAMMAS = (2.0, 1.0, 0.5, 0.1, 0.01, 0.005)


def mmd_rbf(comparison: Comparison) -> MetricValue:
    r"""Squared maximum mean discrepancy, V-statistic, in float64.

    MMD^2 = mean over gamma of [mean_ij k(x_i, x_j) + mean_ij k(y_i, y_j) - 2 mean_ij k(x_i, y_j)]
    with k(x, y) = exp(-gamma |x - y|^2) and gamma in {2, 1, 0.5, 0.1, 0.01, 0.005}

    The means include i = j, so that equal distributions score about (2 / n)(1 - E k) and not zero;
    compare with the floor at the same n.

    Args:
        comparison: Flow features, shapes [n, d] and [m, d].

    Returns:
        Squared discrepancy, without unit. The bandwidths are fixed: it depends on the units of the
        features and saturates where all distances are large.

    Source: Gretton et al. (2012), A kernel two-sample test, equation 5; bandwidths of Atanackovic
    et al. (2025), Meta Flow Matching, and of Bunne et al. (2023), CellOT.
    """
    n, m = len(comparison.predicted), len(comparison.target)
    value = (
        kernel_sum(comparison.blocks("within_predicted"), GAMMAS) / (n * n)
        + kernel_sum(comparison.blocks("within_target"), GAMMAS) / (m * m)
        - 2 * kernel_sum(comparison.blocks("between"), GAMMAS) / (n * m)
    )
    return MetricValue(value)


ENTRY = Metric(mmd_rbf, best="low", symmetric=True)
