"""1-Wasserstein distance: exact transport with Euclidean cost."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics._exact_ot import exact_cost


def w1(comparison: Comparison) -> MetricValue:
    r"""1-Wasserstein distance between predicted and target cells, in float64.

    W1 = min_P sum_ij P_ij |x_i - y_j|, marginals uniform

    Args:
        comparison: Flow features, shapes [n, d] and [m, d].

    Returns:
        Distance in the units of the features.

    Raises:
        MetricError: If the exact solver stops early.

    Source: Peyré and Cuturi (2019), Computational Optimal Transport, section 2.4.
    """
    return MetricValue(exact_cost(comparison.between))


METRIC = Metric(w1, best="low", symmetric=True)
