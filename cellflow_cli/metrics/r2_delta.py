"""Squared correlation of mean changes against the real control."""

import torch

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics._correlation import pearson


def r2_delta(comparison: Comparison) -> MetricValue:
    r"""Squared Pearson correlation of the mean changes of genes or markers, in float64.

    r^2 = corr_g(mean_i x_ig - mean_k c_kg, mean_j y_jg - mean_k c_kg)^2, with control cells c

    Args:
        comparison: Genes or markers, shapes [n, g], [m, g] and, for the controls, [k, g].

    Returns:
        Between 0 and 1; undefined below three features or without a predicted or a real change. Both changes
        share the noise of the k controls, so that without any effect m cells like the target have an r of
        m / (m + k) and not of zero.

    Source: Roohani, Huang and Leskovec (2024), Predicting transcriptional outcomes of novel
    multigene perturbations with GEARS, Methods (there unsquared).
    """
    if not len(comparison.control):
        return MetricValue(None, "no control cells to measure changes against")
    predicted, target, control = (cells.mean(0) for cells in comparison.genes)
    size = torch.linalg.vector_norm(control)
    for name, mean in (("predicted", predicted), ("real", target)):
        if torch.linalg.vector_norm(mean - control) <= 1e-12 * size:
            return MetricValue(None, f"the {name} change against the control is zero")
    r = pearson(predicted - control, target - control)
    if r is None:
        return MetricValue(
            None, f"no correlation over {len(control)} changes: fewer than three, or all equal"
        )
    return MetricValue(r * r)


ENTRY = Metric(r2_delta, best="high", symmetric=True, space="genes", change=True)
