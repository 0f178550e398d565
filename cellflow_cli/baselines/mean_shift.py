"""Every control cell moves by the mean shift of the training groups under the same condition."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.catalog import Entry
from cellflow_cli.errors import MetricError, listed
from cellflow_cli.types import Condition


@dataclass(frozen=True, kw_only=True)
class MeanShiftConfig:
    """Nothing to set."""


class MeanShift:
    """One vector per condition, learned from the training groups and added to every control cell."""

    def predict(
        self,
        control: Float[Tensor, "n d"],
        sample: str,
        condition: Condition,
        summaries: Summaries,
        rng: torch.Generator,
    ) -> Float[Tensor, "n d"]:
        """Control cells plus `mean_shift` of the condition, shape [n, d].

        Raises:
            MetricError: If no training population had this treatment at this dose.
        """
        shift = mean_shift(summaries, condition)
        return control + shift.to(device=control.device, dtype=control.dtype)


def mean_shift(summaries: Summaries, condition: Condition) -> Float[Tensor, " d"]:
    r"""Mean over training groups of treated mean minus control mean, flow features, shape [d].

    shift = mean over groups of [mean over samples of the group of (mean x1 - mean x0)]

    Every population weighs the same within its group, and every group the same, whatever their sizes.

    Raises:
        MetricError: If no training population had this treatment at this dose.
    """
    shifts: dict[str, list[Tensor]] = {}
    for i in summaries.treated:
        trained = summaries.conditions[i]
        if trained is not None and _same(trained, condition):
            shift = summaries.mean[i] - summaries.mean[summaries.source[i]]
            shifts.setdefault(summaries.groups[i], []).append(shift)
    if not shifts:
        known = sorted(
            {c for c in summaries.conditions if c is not None}, key=lambda c: (c.treatment, c.dose or 0)
        )
        raise MetricError(
            f"Expected training populations under {condition.label!r}, "
            f"found {listed(c.label for c in known) or 'none at all'}: no shift to average."
        )
    return torch.stack([torch.stack(of_group).mean(0) for of_group in shifts.values()]).mean(0)


def _same(a: Condition, b: Condition) -> bool:
    if a.treatment != b.treatment or (a.dose is None) != (b.dose is None):
        return False
    return a.dose is None or b.dose is None or math.isclose(a.dose, b.dose, rel_tol=1e-5)


def build(config: MeanShiftConfig) -> MeanShift:
    """The baseline that `config` describes."""
    return MeanShift()


BASELINE = Entry(MeanShiftConfig, build)
