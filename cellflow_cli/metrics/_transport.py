"""What the exact transport distances share."""

from jaxtyping import Float64
from torch import Tensor

from cellflow_cli.errors import MetricError, NumericalError
from cellflow_cli.metrics._comparison import Comparison
from cellflow_cli.metrics._subsample import subsampled
from cellflow_cli.ot.exact import exact_cost


def distances(comparison: Comparison) -> tuple[Float64[Tensor, "n m"], str]:
    """Euclidean distances from predicted to target cells, at most 5,000 of each, and a remark.

    Returns:
        Matrix of shape [n, m], and how many cells it holds if not all of them.
    """
    seen, remark = subsampled(comparison)
    return seen.between, remark


def transport_cost(cost: Float64[Tensor, "n m"]) -> float:
    """`ot.exact.exact_cost` of a metric.

    Raises:
        MetricError: If the exact solver stops early.
    """
    try:
        return exact_cost(cost)
    except NumericalError as error:
        raise MetricError(f"{error} Compare fewer cells with `--max-cells`.") from error
