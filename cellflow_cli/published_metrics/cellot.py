"""CellOT (Bunne et al. 2023): means, spreads, correlations and MMD of all features in data space."""

import torch

from cellflow_cli.metrics import Comparison, Metric, MetricValue
from cellflow_cli.metrics._correlation import feature_correlations, pearson
from cellflow_cli.metrics._kernels import kernel_sum
from cellflow_cli.published_metrics._definitions import Definitions
from cellflow_cli.published_metrics._shared import mean_difference

GAMMAS = tuple(10 ** (1 - 4 * step / 49) for step in range(50))
MAX_FEATURES = 1_000


def l2_means(comparison: Comparison) -> MetricValue:
    r"""Euclidean distance between mean cells.

    l2 = |mean_i x_i - mean_j y_j|

    Source: cellot, scripts/evaluate.py, `compute_evaluations`, "l2-means": the "l2 drug signature" of the
    publication, in which the controls cancel.
    Ours: none; `energy` sees the difference of means, too.
    """
    return MetricValue(float(mean_difference(comparison).norm()))


def l2_stds(comparison: Comparison) -> MetricValue:
    r"""Euclidean distance between the standard deviations of the features.

    l2 = |sd_i x_i - sd_j y_j|, with n - 1

    Source: cellot, scripts/evaluate.py, `compute_evaluations`, "l2-stds".
    Ours: none; `variance-ratio-genes` tells whether the spread is too small or too large.
    """
    if why := _too_few(comparison):
        return MetricValue(None, why)
    return MetricValue(float((comparison.predicted.std(0) - comparison.target.std(0)).norm()))


def r2_means(comparison: Comparison) -> MetricValue:
    r"""Correlation of feature means, not squared in spite of its name.

    r = corr_g(mean_i x_ig, mean_j y_jg)

    Source: cellot, scripts/evaluate.py, `compute_evaluations`, "r2-means".
    Ours: `r2-mean` is its square.
    """
    return _correlation(comparison.predicted.mean(0), comparison.target.mean(0), "means")


def r2_stds(comparison: Comparison) -> MetricValue:
    r"""Correlation of the standard deviations of the features, not squared in spite of its name.

    r = corr_g(sd_i x_ig, sd_j y_jg)

    Source: cellot, scripts/evaluate.py, `compute_evaluations`, "r2-stds".
    Ours: none.
    """
    if why := _too_few(comparison):
        return MetricValue(None, why)
    return _correlation(comparison.predicted.std(0), comparison.target.std(0), "standard deviations")


def r2_pairwise_feat_corrs(comparison: Comparison) -> MetricValue:
    r"""Correlation of feature-feature correlations, not squared in spite of its name.

    r = corr_{g<h}(corr_i(x_ig, x_ih), corr_j(y_jg, y_jh))

    Source: cellot, scripts/evaluate.py, `compute_evaluations`, "r2-pairwise_feat_corrs".
    Ours: `r-features` is the same number, `r2-features` its square.
    """
    correlations = feature_correlations(comparison.predicted, comparison.target)
    correlation = _correlation(
        correlations.predicted, correlations.target, "correlations of varying features"
    )
    return correlation._replace(reason=correlation.reason or correlations.remark)


def mmd(comparison: Comparison) -> MetricValue:
    r"""Squared kernel distance, biased, mean over fifty bandwidths; below 1,000 features only.

    MMD^2 = mean over gamma of [mean_ij k(x_i, x_j) + mean_ij k(y_i, y_j) - 2 mean_ij k(x_i, y_j)]
    with k(x, y) = exp(-gamma |x - y|^2) and 50 values of gamma from 10 to 0.001, evenly in the logarithm

    Source: cellot, scripts/evaluate.py, `compute_evaluations`, "mmd".
    Ours: `mmd-rbf` takes six bandwidths between 2 and 0.005, of scaled features of the flow.
    """
    n, m, d = len(comparison.predicted), len(comparison.target), comparison.target.shape[1]
    if d >= MAX_FEATURES:
        return MetricValue(None, f"CellOT computes it below {MAX_FEATURES:,} features only, found {d:,}")
    value = (
        kernel_sum(comparison.blocks("within_predicted"), GAMMAS) / (n * n)
        + kernel_sum(comparison.blocks("within_target"), GAMMAS) / (m * m)
        - 2 * kernel_sum(comparison.blocks("between"), GAMMAS) / (n * m)
    )
    return MetricValue(value)


def _too_few(comparison: Comparison) -> str:
    n, m = len(comparison.predicted), len(comparison.target)
    return "" if min(n, m) > 1 else f"needs two cells or more, found {n} predicted and {m} target"


def _correlation(a: torch.Tensor, b: torch.Tensor, what: str) -> MetricValue:
    r = pearson(a, b)
    return MetricValue(r, "" if r is not None else f"no correlation over {len(a)} {what}")


ENTRY = Definitions(
    project="CellOT",
    version="bunnech/cellot, commit 522d2b9 of 2024-11-01",
    space="genes",
    metrics={
        "l2-means": Metric(l2_means, best="low", symmetric=True),
        "l2-stds": Metric(l2_stds, best="low", symmetric=True),
        "r2-means": Metric(r2_means, best="high", symmetric=True),
        "r2-stds": Metric(r2_stds, best="high", symmetric=True),
        "r2-pairwise-feat-corrs": Metric(r2_pairwise_feat_corrs, best="high", symmetric=True),
        "mmd": Metric(mmd, best="low", symmetric=True),
    },
)
