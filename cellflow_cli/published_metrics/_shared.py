"""What the metrics of several projects share: numbers between mean cells, remarks."""

import torch
from jaxtyping import Float64
from torch import Tensor

from cellflow_cli.metrics import Comparison, MetricValue
from cellflow_cli.ot.sinkhorn import Entropic


def mean_difference(comparison: Comparison) -> Float64[Tensor, " d"]:
    """Mean of the predicted minus mean of the target cells, shape [d]."""
    return comparison.predicted.mean(0) - comparison.target.mean(0)


def determination(comparison: Comparison) -> MetricValue:
    r"""Coefficient of determination of the means, the target as observed and the prediction as fitted.

    R^2 = 1 - sum_d (my_d - mx_d)^2 / sum_d (my_d - mean_h my_h)^2

    It is no square: it is negative where the mean over features would have been a better prediction.
    """
    observed = comparison.target.mean(0)
    total = torch.linalg.vector_norm(observed - observed.mean())
    if len(observed) < 2 or total <= 1e-12 * torch.linalg.vector_norm(observed):
        return MetricValue(None, f"no spread over the {len(observed)} target means that could be explained")
    return MetricValue(float(1 - (mean_difference(comparison).norm() / total) ** 2))


def stopped_early(solution: Entropic) -> str:
    """A remark on an iteration that did not converge; empty if it did."""
    if solution.converged:
        return ""
    return f"the iteration was stopped after {solution.n_iter:,} steps, marginals {solution.residual:.1g} off"
