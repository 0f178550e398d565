"""pertpy's Distance: between cells or mean cells, with the defaults of each metric."""

from cellflow_cli.metrics import Comparison, Metric, MetricValue
from cellflow_cli.metrics._comparison import Distances
from cellflow_cli.metrics._correlation import pearson
from cellflow_cli.metrics._subsample import subsampled
from cellflow_cli.ot.sinkhorn import entropic_cost
from cellflow_cli.published_metrics._definitions import Definitions
from cellflow_cli.published_metrics._shared import determination, mean_difference, stopped_early


def edistance(comparison: Comparison) -> MetricValue:
    r"""Energy distance with Euclidean distances, biased: the means include i = j.

    E = 2 mean_ij |x_i - y_j| - mean_ij |x_i - x_j| - mean_ij |y_i - y_j|

    Source: pertpy 1.0.3, tools/_distances/_distances.py, `Edistance`; release 1.2.0 leaves i = j out when
    it is given two arrays, which is our `energy`.
    Ours: `energy` leaves i = j out, so that equal distributions score zero on average.
    """
    within = _mean(comparison, "within_predicted") + _mean(comparison, "within_target")
    return MetricValue(2 * _mean(comparison, "between") - within)


def euclidean(comparison: Comparison) -> MetricValue:
    r"""Euclidean distance between mean cells.

    D = |mean_i x_i - mean_j y_j|

    Source: pertpy 1.0.3, tools/_distances/_distances.py, `EuclideanDistance`, also called
    `root_mean_squared_error` there.
    Ours: none; `energy` sees the difference of means, too.
    """
    return MetricValue(float(mean_difference(comparison).norm()))


def mse(comparison: Comparison) -> MetricValue:
    r"""Mean squared difference of mean cells.

    D = 1/d |mean_i x_i - mean_j y_j|^2

    Source: pertpy 1.0.3, tools/_distances/_distances.py, `MeanSquaredDistance`.
    Ours: none; `energy` sees the difference of means, too.
    """
    return MetricValue(float(mean_difference(comparison).square().mean()))


def pearson_distance(comparison: Comparison) -> MetricValue:
    r"""One minus the correlation of mean cells.

    D = 1 - corr_d(mean_i x_id, mean_j y_jd)

    Source: pertpy 1.0.3, tools/_distances/_distances.py, `PearsonDistance`.
    Ours: `r2-mean` is the squared correlation over genes or markers.
    """
    r = pearson(comparison.predicted.mean(0), comparison.target.mean(0))
    if r is None:
        return MetricValue(None, f"no correlation over {comparison.target.shape[1]} means")
    return MetricValue(1 - r)


def r2_distance(comparison: Comparison) -> MetricValue:
    r"""One minus the coefficient of determination of mean cells; it has no upper bound.

    D = sum_d (my_d - mx_d)^2 / sum_d (my_d - mean_h my_h)^2,  mx predicted and my target mean

    Source: pertpy 1.0.3, tools/_distances/_distances.py, `R2ScoreDistance`, given the target first.
    Ours: `r2-mean` is a squared correlation, which forgives a wrong scale and offset.
    """
    value, reason = determination(comparison)
    return MetricValue(None if value is None else 1 - value, reason)


def mean_pairwise(comparison: Comparison) -> MetricValue:
    r"""Mean Euclidean distance between predicted and target cells; not zero for equal populations.

    D = mean_ij |x_i - y_j|

    It rewards collapse: cells all at the mean of the target score lower than the target itself.

    Source: pertpy 1.0.3, tools/_distances/_distances.py, `MeanPairwiseDistance`.
    Ours: `energy`, which takes off the distances within each population.
    """
    return MetricValue(_mean(comparison, "between"))


def mmd(comparison: Comparison) -> MetricValue:
    r"""Squared kernel distance with the linear kernel: the squared distance of the means.

    MMD^2 = mean_ij x_i . x_j + mean_ij y_i . y_j - 2 mean_ij x_i . y_j = |mean_i x_i - mean_j y_j|^2

    It cannot see a wrong spread.

    Source: pertpy 1.0.3, tools/_distances/_distances.py, `MMD`, whose default kernel is linear.
    Ours: `mmd-rbf` and `mmd-median` take Gaussian kernels, which see the whole distribution.
    """
    return MetricValue(float(mean_difference(comparison).square().sum()))


def wasserstein(comparison: Comparison) -> MetricValue:
    r"""Entropic transport cost with squared Euclidean cost, no root; not zero for equal populations.

    OT = min_P sum_ij P_ij |x_i - y_j|^2 + epsilon KL(P | 1/nm),  epsilon = 0.05 sd_ij |x_i - y_j|^2

    It is in squared units of the features. The iteration stops where OTT-JAX does by default.

    Source: pertpy 1.0.3, tools/_distances/_distances.py, `WassersteinDistance`, through OTT-JAX 0.6,
    `Sinkhorn`.
    Ours: `w2` is exact transport, without epsilon, and its root.
    """
    seen, of_cells = subsampled(comparison)
    cost = seen.between.square()
    epsilon = 0.05 * float(cost.std(correction=0))
    if epsilon <= 1e-12 * float(cost.max()):
        return MetricValue(float(cost.max()), "all pairs of cells are equally far apart")
    solution = entropic_cost(cost.T, epsilon)
    return MetricValue(solution.cost, "; ".join(filter(None, [of_cells, stopped_early(solution)])))


def _mean(comparison: Comparison, which: Distances) -> float:
    total, count = 0.0, 0
    for rows in comparison.blocks(which):
        total, count = total + float(rows.sum()), count + rows.numel()
    return total / count


ENTRY = Definitions(
    project="pertpy",
    version="release 1.0.3",
    space="flow",
    metrics={
        "edistance": Metric(edistance, best="low", symmetric=True),
        "euclidean": Metric(euclidean, best="low", symmetric=True),
        "mse": Metric(mse, best="low", symmetric=True),
        "pearson-distance": Metric(pearson_distance, best="low", symmetric=True),
        "r2-distance": Metric(r2_distance, best="low", symmetric=False),
        "mean-pairwise": Metric(mean_pairwise, best="low", symmetric=True),
        "mmd": Metric(mmd, best="low", symmetric=True),
        "wasserstein": Metric(wasserstein, best="low", symmetric=False),
    },
)
