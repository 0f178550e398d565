"""Treatment as a one-hot vector, with the sample's covariates beside it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow_cli.catalog import Entry
from cellflow_cli.conditions._encoder import Encoder
from cellflow_cli.types import ConditionBatch, ModelShape


@dataclass(frozen=True, kw_only=True)
class OneHotConfig:
    """Nothing to choose."""


class OneHot(nn.Module):
    """Condition to [one-hot treatment, covariates]; the dose is ignored.

    Args:
        config: Nothing to choose.
        shape: Gives the number of treatments and the width of the covariates.
    """

    def __init__(self, config: OneHotConfig, shape: ModelShape) -> None:
        super().__init__()
        self.n_treatments = len(shape.treatments)
        self.width = self.n_treatments + shape.n_covariates

    def forward(self, condition: ConditionBatch) -> Float[Tensor, "b c"]:
        """Encoded conditions, shape [b, width], dtype of the covariates."""
        hot = nn.functional.one_hot(condition.treatment, self.n_treatments).to(condition.covariates.dtype)
        return torch.cat([hot, condition.covariates], dim=-1)


ENTRY: Entry[Encoder] = Entry(OneHotConfig, OneHot)
