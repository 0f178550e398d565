"""The training populations under one condition, as most baselines need them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.errors import MetricError, listed
from cellflow_cli.types import Condition


class Trained(NamedTuple):
    """Training populations under one condition, p of them, each beside its control population.

    Attributes:
        treated: Positions in the summaries.
        control: Positions of their controls.
        groups: Their groups.
        mean: Means of the controls, shape [p, d].
        shift: Treated mean minus control mean, shape [p, d].
    """

    treated: tuple[int, ...]
    control: tuple[int, ...]
    groups: tuple[str, ...]
    mean: Float64[Tensor, "p d"]
    shift: Float64[Tensor, "p d"]


def trained(summaries: Summaries, condition: Condition) -> Trained:
    """The training populations under `condition`, one or more.

    Raises:
        MetricError: If no training population had this treatment at this dose.
    """
    treated = [i for i in summaries.treated if _same(summaries.conditions[i], condition)]
    if not treated:
        measured = sorted(
            {c for c in summaries.conditions if c is not None}, key=lambda c: (c.treatment, c.dose or 0)
        )
        raise MetricError(
            f"Expected training populations under {condition.label!r}, "
            f"found {listed(c.label for c in measured) or 'none at all'}: nothing to predict from."
        )
    control = [int(summaries.source[i]) for i in treated]
    return Trained(
        tuple(treated),
        tuple(control),
        tuple(summaries.groups[i] for i in treated),
        summaries.mean[control],
        summaries.mean[treated] - summaries.mean[control],
    )


def mean_over_groups(values: Float64[Tensor, "p d"], groups: Sequence[str]) -> Float64[Tensor, " d"]:
    """Mean within each group, then over groups, whatever their sizes, shape [d]."""
    members = {group: [i for i, other in enumerate(groups) if other == group] for group in groups}
    return torch.stack([values[rows].mean(0) for rows in members.values()]).mean(0)


def unit(summaries: Summaries) -> Float64[Tensor, " d"]:
    """Training spread by which features are divided before cells are compared; one where it is zero."""
    return torch.where(summaries.scale > 0, summaries.scale, torch.ones_like(summaries.scale))


def need_cells(summaries: Summaries) -> None:
    """Refuse a light version of the summaries.

    Raises:
        MetricError: If the summaries hold no cells.
    """
    if not len(summaries.cells):
        raise MetricError(
            "Expected cells of the training populations, found their means alone, as a prediction file "
            "holds them. Name the model folder with `--model MODEL`."
        )


def _same(a: Condition | None, b: Condition) -> bool:
    if a is None or a.treatment != b.treatment or (a.dose is None) != (b.dose is None):
        return False
    return a.dose is None or b.dose is None or math.isclose(a.dose, b.dose, rel_tol=1e-5)
