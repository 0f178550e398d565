"""Squared kernel distance (MMD), unbiased, bandwidths from the median distance of the target."""

import numpy as np

from cellflow_cli.metrics._comparison import MAX_KEPT, Comparison, Metric, MetricValue
from cellflow_cli.metrics._kernels import kernel_sum
from cellflow_cli.metrics._subsample import at_most
from cellflow_cli.ot.cost import euclidean

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
    n, m = len(comparison.predicted), len(comparison.target)
    if min(n, m) < 2:
        return MetricValue(None, f"needs two cells or more, found {n} predicted and {m} target")
    median, remark = _median(comparison)
    if median == 0:
        return MetricValue(None, "the median distance between target cells is zero")
    gammas = [0.5 / (factor * median) ** 2 for factor in FACTORS]
    value = (
        (kernel_sum(comparison.blocks("within_predicted"), gammas) - n) / (n * (n - 1))  # k(x, x) = 1
        + (kernel_sum(comparison.blocks("within_target"), gammas) - m) / (m * (m - 1))
        - 2 * kernel_sum(comparison.blocks("between"), gammas) / (n * m)
    )
    return MetricValue(value, remark)


def _median(comparison: Comparison) -> tuple[float, str]:
    """Median distance between two target cells (of 5,000 where there are more), and a remark."""
    m = len(comparison.target)
    if m * m <= MAX_KEPT:
        distances, remark = comparison.within_target, ""
    else:
        sample = at_most(comparison.target)
        distances, remark = euclidean(sample, sample), f"median of {len(sample):,} of {m:,} target cells"
    matrix = distances.cpu().numpy()
    upper = np.concatenate([row[i + 1 :] for i, row in enumerate(matrix)])
    rank = (len(upper) - 1) // 2
    upper.partition(rank)  # a third of the time of a median over a mask of the matrix
    return float(upper[rank]), remark


ENTRY = Metric(mmd_median, best="low", symmetric=False)
