"""2-Wasserstein distance: root of exact transport with squared Euclidean cost."""

import math

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics._exact_ot import exact_cost


def w2(comparison: Comparison) -> MetricValue:
    r"""2-Wasserstein distance between predicted and target cells, in float64.

    W2 = (min_P sum_ij P_ij |x_i - y_j|^2)^1/2, marginals uniform

    Args:
        comparison: Flow features, shapes [n, d] and [m, d].

    Returns:
        Distance in the units of the features.

    Raises:
        MetricError: If the exact solver stops early.

    Source: Peyré and Cuturi (2019), Computational Optimal Transport, section 2.4.
    """
    return MetricValue(math.sqrt(max(0.0, exact_cost(comparison.between.square()))))


METRIC = Metric(w2, best="low", symmetric=True)
