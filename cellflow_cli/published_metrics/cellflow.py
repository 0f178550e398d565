"""CellFlow (Klein et al. 2025), the package cellflow-tools: R squared, e-distance, MMD, Sinkhorn."""

import functools

from torch import Tensor

from cellflow_cli.metrics import Comparison, Metric, MetricValue
from cellflow_cli.metrics._subsample import subsampled
from cellflow_cli.metrics.mmd_rbf import mmd_rbf as our_mmd
from cellflow_cli.ot.sinkhorn import entropic_cost
from cellflow_cli.published_metrics._definitions import Definitions
from cellflow_cli.published_metrics._shared import determination, mean_difference, stopped_early


def r_squared(comparison: Comparison) -> MetricValue:
    r"""Coefficient of determination of the feature means; negative for bad predictions.

    R^2 = 1 - sum_d (my_d - mx_d)^2 / sum_d (my_d - mean_h my_h)^2,  mx predicted and my target mean

    Source: cellflow-tools, cellflow/metrics/_metrics.py, `compute_r_squared`, with the target first as in
    its training callbacks.
    Ours: `r2-mean` is the squared correlation of the means, which forgives a wrong scale and offset.
    """
    return determination(comparison)


def e_distance(comparison: Comparison) -> MetricValue:
    r"""Energy distance with squared Euclidean distances: twice the squared distance of the means.

    E = 2 mean_ij |x_i - y_j|^2 - mean_ij |x_i - x_j|^2 - mean_ij |y_i - y_j|^2
      = 2 |mean_i x_i - mean_j y_j|^2

    The means include i = j. Squares make everything but the means cancel: it cannot see a wrong spread.

    Source: cellflow-tools, cellflow/metrics/_metrics.py, `compute_e_distance`.
    Ours: `energy` takes plain distances without i = j, and so sees the whole distribution.
    """
    return MetricValue(2 * float(mean_difference(comparison).square().sum()))


def mmd(comparison: Comparison) -> MetricValue:
    r"""Squared kernel distance, biased, mean over six bandwidths.

    MMD^2 = mean over gamma of [mean_ij k(x_i, x_j) + mean_ij k(y_i, y_j) - 2 mean_ij k(x_i, y_j)]
    with k(x, y) = exp(-gamma |x - y|^2) and gamma in {2, 1, 0.5, 0.1, 0.01, 0.005}

    Source: cellflow-tools, cellflow/metrics/_metrics.py, `compute_scalar_mmd`.
    Ours: `mmd-rbf` is the same number of scaled features.
    """
    return our_mmd(comparison)


def sinkhorn_div_1(comparison: Comparison) -> MetricValue:
    r"""Sinkhorn divergence with squared Euclidean cost, epsilon 1.

    S = OT(x, y) - [OT(x, x) + OT(y, y)] / 2
    with OT(x, y) = min_P sum_ij P_ij |x_i - y_j|^2 + epsilon KL(P | 1/nm), marginals uniform

    It is in squared units of the features. The iteration stops where OTT-JAX does by default.

    Source: cellflow-tools, cellflow/metrics/_metrics.py, `compute_metrics`, "sinkhorn_div_1", through OTT-JAX
    0.6, `sinkhorn_divergence`; Feydy et al. (2019), Interpolating between optimal transport and MMD using
    Sinkhorn divergences.
    Ours: `w2` is exact transport, without epsilon, and its root.
    """
    return _divergence(comparison, 1.0)


def sinkhorn_div_10(comparison: Comparison) -> MetricValue:
    r"""Sinkhorn divergence with squared Euclidean cost, epsilon 10.

    S = OT(x, y) - [OT(x, x) + OT(y, y)] / 2, as `sinkhorn-div-1`

    Source: cellflow-tools, cellflow/metrics/_metrics.py, `compute_metrics`, "sinkhorn_div_10".
    Ours: `w2` is exact transport, without epsilon, and its root.
    """
    return _divergence(comparison, 10.0)


def sinkhorn_div_100(comparison: Comparison) -> MetricValue:
    r"""Sinkhorn divergence with squared Euclidean cost, epsilon 100.

    S = OT(x, y) - [OT(x, x) + OT(y, y)] / 2, as `sinkhorn-div-1`

    Where epsilon is large beside the distances only the means count: it tends to |mean_i x_i - mean_j y_j|^2.

    Source: cellflow-tools, cellflow/metrics/_metrics.py, `compute_metrics`, "sinkhorn_div_100".
    Ours: `w2` is exact transport, without epsilon, and its root.
    """
    return _divergence(comparison, 100.0)


def _divergence(comparison: Comparison, epsilon: float) -> MetricValue:
    solve = functools.partial(_solve, epsilon=epsilon)
    seen, of_cells = subsampled(comparison)
    cross, stopped = solve(seen.between.T, symmetric=False)
    within = [solve(distances, symmetric=True) for distances in (seen.within_predicted, seen.within_target)]
    stopped = stopped or next((text for _, text in within if text), "")
    value = cross - sum(cost for cost, _ in within) / 2
    return MetricValue(value, "; ".join(filter(None, [of_cells, stopped])))


def _solve(distances: Tensor, *, epsilon: float, symmetric: bool) -> tuple[float, str]:
    solution = entropic_cost(distances.square(), epsilon, symmetric)
    return solution.cost, stopped_early(solution)


ENTRY = Definitions(
    project="CellFlow",
    version="cellflow-tools 0.0.9",
    space="flow",
    metrics={
        "r-squared": Metric(r_squared, best="high", symmetric=False),
        "e-distance": Metric(e_distance, best="low", symmetric=True),
        "mmd": Metric(mmd, best="low", symmetric=True),
        "sinkhorn-div-1": Metric(sinkhorn_div_1, best="low", symmetric=False),
        "sinkhorn-div-10": Metric(sinkhorn_div_10, best="low", symmetric=False),
        "sinkhorn-div-100": Metric(sinkhorn_div_100, best="low", symmetric=False),
    },
)
