"""Mean and covariance of weighted cells from one matrix product."""

import torch
from jaxtyping import Float
from torch import Tensor

FULL = 4  # dimensions up to which all covariances are kept, not the variances alone


class Moments:
    """What to average so that mean and covariance follow.

    Args:
        d: Width of the cells.
    """

    def __init__(self, d: int) -> None:
        self.d = d
        upper = torch.triu_indices(d, d) if d <= FULL else torch.arange(d).repeat(2, 1)
        self.rows, self.columns = upper[0], upper[1]
        self.identity = (self.rows == self.columns).float()
        self.width = d + len(self.rows)

    def of(self, cells: Float[Tensor, "*s d"]) -> Float[Tensor, "*s w"]:
        """The cells and the products of their features, side by side."""
        return torch.cat([cells, cells[..., self.rows] * cells[..., self.columns]], dim=-1)

    def split(self, averages: Float[Tensor, "*s w"]) -> tuple[Float[Tensor, "*s d"], Float[Tensor, "*s c"]]:
        """Mean, and covariance E[s_i s_j] - E[s_i] E[s_j] for i <= j (or i = j), from averages of `of`."""
        mean = averages[..., : self.d]
        return mean, averages[..., self.d :] - mean[..., self.rows] * mean[..., self.columns]
