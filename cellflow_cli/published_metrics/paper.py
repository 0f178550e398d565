"""Meta Flow Matching (Atanackovic et al. 2025): W1, W2, MMD and an r2 that is no square."""

from cellflow_cli.metrics import Comparison, Metric, MetricValue
from cellflow_cli.metrics._correlation import feature_correlations, pearson
from cellflow_cli.metrics.mmd_rbf import mmd_rbf as our_mmd
from cellflow_cli.metrics.w1 import w1 as our_w1
from cellflow_cli.metrics.w2 import w2 as our_w2
from cellflow_cli.published_metrics._definitions import Definitions


def w1(comparison: Comparison) -> MetricValue:
    r"""1-Wasserstein distance, exact transport with Euclidean cost.

    W1 = min_P sum_ij P_ij |x_i - y_j|, marginals uniform

    Source: meta-flow-matching, util/distribution_distances.py, `wasserstein` with power 1, there in float32.
    Ours: `w1` is the same number of scaled features.
    """
    return our_w1(comparison)


def w2(comparison: Comparison) -> MetricValue:
    r"""2-Wasserstein distance, root of exact transport with squared Euclidean cost.

    W2 = (min_P sum_ij P_ij |x_i - y_j|^2)^1/2, marginals uniform

    Source: meta-flow-matching, util/distribution_distances.py, `wasserstein` with power 2, there in float32.
    Ours: `w2` is the same number of scaled features.
    """
    return our_w2(comparison)


def mmd(comparison: Comparison) -> MetricValue:
    r"""Squared kernel distance, biased, mean over six bandwidths; its tables show it times 1,000.

    MMD^2 = mean over gamma of [mean_ij k(x_i, x_j) + mean_ij k(y_i, y_j) - 2 mean_ij k(x_i, y_j)]
    with k(x, y) = exp(-gamma |x - y|^2) and gamma in {2, 1, 0.5, 0.1, 0.01, 0.005}

    Source: meta-flow-matching, util/distribution_distances.py, `compute_scalar_mmd`.
    Ours: `mmd-rbf` is the same number of scaled features.
    """
    return our_mmd(comparison)


def r2(comparison: Comparison) -> MetricValue:
    r"""Correlation of feature-feature correlations, not squared in spite of its name.

    r = corr_{g<h}(corr_i(x_ig, x_ih), corr_j(y_jg, y_jh))

    Source: meta-flow-matching, util/distribution_distances.py, `cellot_corr`, the column "r2_pwf_corr".
    Ours: `r-features` is the same number over genes or markers, `r2-features` its square.
    """
    correlations = feature_correlations(comparison.predicted, comparison.target)
    r = pearson(correlations.predicted, correlations.target)
    if r is None:
        return MetricValue(None, "fewer than three features vary in both, or all correlations are equal")
    return MetricValue(r, correlations.remark)


ENTRY = Definitions(
    project="Meta Flow Matching",
    version="lazaratan/meta-flow-matching, commit 8b4c6f0 of 2025-03-03",
    space="flow",
    metrics={
        "w1": Metric(w1, best="low", symmetric=True),
        "w2": Metric(w2, best="low", symmetric=True),
        "mmd": Metric(mmd, best="low", symmetric=True),
        "r2": Metric(r2, best="high", symmetric=True),
    },
)
