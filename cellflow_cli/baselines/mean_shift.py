"""Every control cell moves by the mean shift of the training groups under the same condition."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from cellflow_cli.baselines._baseline import BaselineRequest
from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.baselines._trained import mean_over_groups, trained
from cellflow_cli.catalog import Entry
from cellflow_cli.types import Condition


@dataclass(frozen=True, kw_only=True)
class MeanShiftConfig:
    """Nothing to set."""


class MeanShift:
    """One vector per condition, learned from the training groups and added to every control cell."""

    def predict(
        self, request: BaselineRequest, summaries: Summaries, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Control cells plus `mean_shift` of the condition, shape [n, d].

        Raises:
            MetricError: If no training population had this treatment at this dose.
        """
        return request.control + mean_shift(summaries, request.condition).to(request.control)


def mean_shift(summaries: Summaries, condition: Condition) -> Float64[Tensor, " d"]:
    r"""Mean over training groups of treated mean minus control mean, flow features, shape [d].

    shift = mean over groups of [mean over samples of the group of (mean x1 - mean x0)]

    Every population weighs the same within its group, and every group the same, whatever their sizes.

    Raises:
        MetricError: If no training population had this treatment at this dose.
    """
    training = trained(summaries, condition)
    return mean_over_groups(training.shift, training.groups)


def build(config: MeanShiftConfig) -> MeanShift:
    """The baseline that `config` describes."""
    return MeanShift()


ENTRY = Entry(MeanShiftConfig, build)
