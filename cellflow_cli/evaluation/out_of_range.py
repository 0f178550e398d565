"""Values beyond all that was measured: outside the range that real cells of the population span."""

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.metrics import MetricValue


def share_outside(cells: Float[Tensor, "n g"], real: Float[Tensor, "m g"]) -> MetricValue:
    r"""Share of the values that lie outside the range of their gene or marker.

    share = |{(i, g): x_ig < min_j y_jg or x_ig > max_j y_jg}| / (n g)

    No metric of the catalog: cells that are all at the mean have none. Of a further real cell, too, each
    feature lies outside with probability 2 / (m + 1), if no values are equal.

    Args:
        cells: To be judged, genes or markers, shape [n, g].
        real: Cells whose smallest and largest values are the range, shape [m, g].

    Returns:
        The share in [0, 1], or why there is none.
    """
    if not len(cells) or not len(real):
        return MetricValue(None, f"no {'real ' if len(cells) else ''}cells")
    if not (bool(torch.isfinite(cells).all()) and bool(torch.isfinite(real).all())):
        return MetricValue(None, "values that are not finite")
    low, high = torch.aminmax(real, dim=0)
    return MetricValue(float(((cells < low) | (cells > high)).double().mean()))
