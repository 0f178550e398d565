"""Rank of the right condition among all of the sample, by distance of predicted and measured effects."""

import torch

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue


def discrimination(comparison: Comparison) -> MetricValue:
    r"""How many other conditions of the sample the prediction resembles less than its own.

    score = 1 - (#{c : |dx - dy_c| < |dx - dy|} + 1/2 #{c : |dx - dy_c| = |dx - dy|}) / o

    with the predicted mean effect dx, the measured one dy, and the measured effects dy_c of the o other
    conditions. All effects are against the controls of one sample, which cancel: distances are those
    between mean cells.

    Args:
        comparison: Flow features, shapes [n, d] and [m, d], and `other_targets`, shape [o, d].

    Returns:
        1 if no other condition is nearer, 0 if all are, 1/2 by chance, which the remark repeats;
        undefined where no other condition of the sample was measured.

    Source: the rank metric of Wu et al. (2024), PerturBench: benchmarking machine learning models for
    cellular perturbation analysis, turned round so that one is best.
    Differs: Euclidean distance of mean effects in the features of the flow, and ties count one half.
    """
    others = comparison.other_targets
    if others is None or not len(others):
        return MetricValue(None, "needs a second measured condition of the sample, found this one alone")
    predicted = comparison.predicted.mean(0)
    own = torch.linalg.vector_norm(predicted - comparison.target.mean(0))
    distances = torch.linalg.vector_norm(predicted - others, dim=1)
    nearer = int((distances < own).sum()) + 0.5 * int((distances == own).sum())
    remark = f"rank {nearer + 1:g} of {len(others) + 1} conditions; 0.5 by chance"
    return MetricValue(1 - nearer / len(others), remark)


METRIC = Metric(discrimination, best="high", symmetric=False, others=True)
