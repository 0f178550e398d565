"""Energy distance, unbiased, Euclidean."""

from collections.abc import Iterator

from jaxtyping import Float, Float64
from torch import Tensor

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.ot.cost import distance_sum


def energy_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float64[Tensor, ""]:
    r"""Energy distance between two sets of cells, in float64 and in blocks of rows.

    E = 2 mean_ij |x_i - y_j| - mean_{i≠j} |x_i - x_j| - mean_{i≠j} |y_i - y_j|

    Args:
        x: Cells, two or more, shape [n, d].
        y: Cells, two or more, shape [m, d].

    Returns:
        Energy distance, shape [], in the units of the cells. Equal distributions score zero on
        average, so that single values may be slightly negative.

    Source: Székely and Rizzo (2013), Energy statistics: a class of statistics based on distances.
    Differs: means within a set leave out i = j, which makes the estimate unbiased.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"the energy distance needs two cells or more, found {n} and {m}")
    between = distance_sum(x, y) / (n * m)
    return 2 * between - distance_sum(x, x) / (n * (n - 1)) - distance_sum(y, y) / (m * (m - 1))


def energy(comparison: Comparison) -> MetricValue:
    """Energy distance between predicted and target cells (see `energy_distance`).

    Args:
        comparison: Flow features, shapes [n, d] and [m, d].

    Returns:
        Distance in the units of the features; undefined below two cells.
    """
    n, m = len(comparison.predicted), len(comparison.target)
    if min(n, m) < 2:
        return MetricValue(None, f"needs two cells or more, found {n} predicted and {m} target")
    value = (
        2 * _sum(comparison.blocks("between")) / (n * m)
        - _sum(comparison.blocks("within_predicted")) / (n * (n - 1))
        - _sum(comparison.blocks("within_target")) / (m * (m - 1))
    )
    return MetricValue(value)


def _sum(blocks: Iterator[Float64[Tensor, "n m"]]) -> float:
    return sum(float(block.sum()) for block in blocks)


ENTRY = Metric(energy, best="low", symmetric=True)
