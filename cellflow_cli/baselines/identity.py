"""Nothing happens: the control cells as they are."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.baselines._baseline import BaselineRequest
from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.catalog import Entry


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """Nothing to set."""


class Identity:
    """The prediction that a treatment does nothing."""

    def predict(
        self, request: BaselineRequest, summaries: Summaries, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """The control cells, unchanged, shape [n, d]."""
        return request.control


def build(config: IdentityConfig) -> Identity:
    """The baseline that `config` describes."""
    return Identity()


ENTRY = Entry(IdentityConfig, build)
