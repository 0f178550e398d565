"""Treatment as a one-hot vector, and the logarithm of its dose in a slot of that treatment."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow_cli.catalog import Entry
from cellflow_cli.conditions._encoder import Encoder
from cellflow_cli.types import ConditionBatch, ModelShape


@dataclass(frozen=True, kw_only=True)
class DoseConfig:
    """Nothing to choose: the scale of doses is read off the trained doses."""


class Dose(nn.Module):
    """Condition to [one-hot treatment, one-hot times standardised log dose, covariates].

    For treatment k with trained doses D_k the second part is

        z_k(dose) = (log(dose) - mean log D_k) / max(std log D_k, 1/2)

    in slot k and zero elsewhere, so that each treatment has a slope of its own and a treatment
    given at one dose, or without doses, is its one-hot vector alone. A dose of zero counts as a
    hundredth of the smallest positive dose of that treatment.

    Args:
        config: Nothing to choose.
        shape: Gives treatments, their trained doses and the width of the covariates.
    """

    center: Tensor
    spread: Tensor
    floor: Tensor

    def __init__(self, config: DoseConfig, shape: ModelShape) -> None:
        super().__init__()
        self.n_treatments = len(shape.treatments)
        self.width = 2 * self.n_treatments + shape.n_covariates
        rows = [_log_scale(shape.doses.get(name, ())) for name in shape.treatments]
        center, spread, floor = torch.tensor(rows, dtype=torch.float32).reshape(-1, 3).unbind(-1)
        self.register_buffer("center", center.clone())
        self.register_buffer("spread", spread.clone())
        self.register_buffer("floor", floor.clone())

    def forward(self, condition: ConditionBatch) -> Float[Tensor, "b c"]:
        """Encoded conditions, shape [b, width], dtype of the covariates."""
        code, dtype = condition.treatment, condition.covariates.dtype
        unknown = condition.dose.isnan()
        dose = torch.where(unknown, 1.0, condition.dose).to(dtype)  # no NaN may reach a gradient
        dose = torch.maximum(dose, self.floor[code].to(dtype))
        z = ((dose.log() - self.center[code]) / self.spread[code]).to(dtype).masked_fill(unknown, 0.0)
        hot = nn.functional.one_hot(code, self.n_treatments).to(dtype)
        return torch.cat([hot, hot * z.unsqueeze(-1), condition.covariates], dim=-1)


def _log_scale(doses: tuple[float, ...]) -> tuple[float, float, float]:
    positive = [dose for dose in doses if dose > 0]
    if not positive:
        return 0.0, 1.0, 1e-12
    floor = min(positive) / 100
    logs = torch.tensor([max(dose, floor) for dose in doses], dtype=torch.float64).log()
    return float(logs.mean()), max(float(logs.std(correction=0)), 0.5), floor


ENTRY: Entry[Encoder] = Entry(DoseConfig, Dose)
