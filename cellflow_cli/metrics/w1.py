"""1-Wasserstein distance: exact transport with Euclidean cost."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics._transport import distances, transport_cost


def w1(comparison: Comparison) -> MetricValue:
    r"""1-Wasserstein distance between predicted and target cells, in float64.

    W1 = min_P sum_ij P_ij |x_i - y_j|, marginals uniform

    Args:
        comparison: Flow features, shapes [n, d] and [m, d].

    Returns:
        Distance in the units of the features. Above 5,000 cells on a side it is that of 5,000 drawn
        from them, which the remark says.

    Raises:
        MetricError: If the exact solver stops early.

    Source: Peyré and Cuturi (2019), Computational Optimal Transport, section 2.4.
    """
    cost, remark = distances(comparison)
    return MetricValue(transport_cost(cost), remark)


ENTRY = Metric(w1, best="low", symmetric=True)
