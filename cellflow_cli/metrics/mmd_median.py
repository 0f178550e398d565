"""Squared kernel distance (MMD), unbiased, bandwidths from the median distance of the target."""

import torch

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics._kernels import kernel_sum

FACTORS = (0.5, 1.0, 2.0)


def mmd_median(comparison: Comparison) -> MetricValue:
    r"""Squared maximum mean discrepancy, U-statistic, in float64.

    MMD^2 = mean over h of [mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) - 2 mean_ij k(x_i, y_j)]
    with k(x, y) = exp(-|x - y|^2 / (2 h^2)), h in {1/2, 1, 2} times the median of |y_i - y_j|, i < j

    Multiplying all cells by a number leaves it unchanged. Equal distributions score zero on
    average, so that single values may be slightly negative.

    Args:
        comparison: Flow features, shapes [n, d] and [m, d].

    Returns:
        Squared discrepancy, without unit; undefined below two cells or if the median is zero.

    Source: Gretton et al. (2012), A kernel two-sample test, equation 3 and section 8 (median
    heuristic). Differs: the median is taken over the target alone, so that the kernel is the same
    for every prediction of one target, and over three multiples of it.
    """
    n, m = comparison.between.shape
    if min(n, m) < 2:
        return MetricValue(None, f"needs two cells or more, found {n} predicted and {m} target")
    distances = comparison.within_target
    upper = torch.triu(torch.ones_like(distances, dtype=torch.bool), diagonal=1)
    median = float(distances[upper].median())
    if median == 0:
        return MetricValue(None, "the median distance between target cells is zero")
    gammas = [0.5 / (factor * median) ** 2 for factor in FACTORS]
    value = (
        (kernel_sum(comparison.within_predicted, gammas) - n) / (n * (n - 1))  # k(x, x) = 1
        + (kernel_sum(distances, gammas) - m) / (m * (m - 1))
        - 2 * kernel_sum(comparison.between, gammas) / (n * m)
    )
    return MetricValue(value)


METRIC = Metric(mmd_median, best="low", symmetric=False)
