"""Exact optimal transport cost between equally weighted cells."""

import numpy as np
import ot
from jaxtyping import Float64
from torch import Tensor

from cellflow_cli.errors import MetricError

# POT's default of 100,000 pivots gives up on 5,000 cells and returns a cost that is too high.
MAX_PIVOTS = 10_000_000


def exact_cost(cost: Float64[Tensor, "n m"]) -> float:
    r"""Least transport cost, `min_P <P, cost>` with marginals 1/n and 1/m, by network simplex on the CPU.

    Args:
        cost: Cost matrix, shape [n, m].

    Raises:
        MetricError: If the solver stops before it has proved its plan optimal.

    Source: Bonneel et al. (2011), Displacement interpolation using Lagrangian mass transport,
    through POT's `emd2`.
    """
    n, m = cost.shape
    matrix = np.ascontiguousarray(cost.detach().cpu().numpy())
    weights = np.full(n, 1 / n), np.full(m, 1 / m)
    value, log = ot.emd2(*weights, matrix, numItermax=MAX_PIVOTS, log=True, center_dual=False)
    if log["warning"] is not None:
        raise MetricError(
            f"Expected an optimal transport plan of {n} x {m} cells, found that the solver stopped "
            f"after {MAX_PIVOTS:,} pivots: {log['warning']} Compare fewer cells with `--max-cells`."
        )
    return float(value)
