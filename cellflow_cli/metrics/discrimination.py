"""Rank of the right condition among all of the sample, by distance of predicted and measured effects."""

from jaxtyping import Float, Float64
from torch import Tensor

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue


def mean_error(cells: Float[Tensor, "m d"]) -> Float64[Tensor, ""]:
    """Expected squared distance of the mean of m cells from that of their population: tr Cov / m.

    Not a number for a single cell.
    """
    return cells.double().var(0).sum() / len(cells)


def discrimination(comparison: Comparison) -> MetricValue:
    r"""How many other conditions of the sample the prediction resembles less than its own.

    score = 1 - (#{c : D(x, y_c) < D(x, y)} + 1/2 #{c : D(x, y_c) = D(x, y)}) / o

    over the o other conditions, with D(x, y) = |mean x - mean y|^2 - tr Cov(y) / m: the squared distance of
    the predicted effect from the measured one of m cells, less what sampling adds to it on average, so
    that a condition of few cells is not further away for that alone. All effects are against the controls
    of one sample, which cancel.

    Args:
        comparison: Flow features, shapes [n, d] and [m, d]; `other_targets`, [o, d], and `other_errors`.

    Returns:
        1 if no other condition is nearer, 0 if all are, 1/2 by chance, which the remark repeats;
        undefined where no other condition of the sample was measured, or this one on a single cell.

    Source: the rank metric of Wu et al. (2024), PerturBench: benchmarking machine learning models for
    cellular perturbation analysis, turned round so that one is best.
    Differs: Euclidean distance of mean effects in the features of the flow without the part that sampling
    adds, and ties count one half.
    """
    others = comparison.other_targets
    if others is None or not len(others):
        return MetricValue(None, "needs a second measured condition of the sample, found this one alone")
    if len(comparison.target) < 2:
        return MetricValue(None, "needs two measured cells or more, found one")
    predicted = comparison.predicted.mean(0)
    own = (predicted - comparison.target.mean(0)).square().sum() - mean_error(comparison.target)
    distances = (predicted - others).square().sum(1)
    if comparison.other_errors is not None:
        distances = distances - comparison.other_errors
    nearer = int((distances < own).sum()) + 0.5 * int((distances == own).sum())
    remark = f"rank {nearer + 1:g} of {len(others) + 1} conditions; 0.5 by chance"
    return MetricValue(1 - nearer / len(others), remark)


ENTRY = Metric(discrimination, best="high", symmetric=False, others=True)
