"""Every control cell moves by the shift of the training sample whose control mean is nearest."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.baselines._baseline import BaselineRequest
from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.baselines._trained import trained, unit
from cellflow_cli.catalog import Entry


@dataclass(frozen=True, kw_only=True)
class NearestSampleConfig:
    """Nothing to set."""


class NearestSample:
    r"""The shift of one training sample, added to every control cell.

    x + mean x1^i - mean x0^i,  i = argmin_i |(mean x0^i - mean x) / s|  with the training spread s

    Only samples that were measured under the condition are looked at, so that another condition
    may have another neighbour.
    """

    def predict(
        self, request: BaselineRequest, summaries: Summaries, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Control cells plus the shift of the nearest sample, shape [n, d].

        Raises:
            MetricError: If no training population had this treatment at this dose.
        """
        training = trained(summaries, request.condition)
        distance = torch.linalg.vector_norm((training.mean - request.mean) / unit(summaries), dim=1)
        return request.control + training.shift[int(distance.argmin())].to(request.control)


def build(config: NearestSampleConfig) -> NearestSample:
    """The baseline that `config` describes."""
    return NearestSample()


ENTRY = Entry(NearestSampleConfig, build)
