"""What flows and static maps share: units, encoded conditions, cells that start where they are."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow_cli.conditions import Encoder
from cellflow_cli.methods._method import Calibrated, Conditioning, Needs
from cellflow_cli.networks.standardize import Standardizer
from cellflow_cli.types import ConditionBatch, ModelShape, PopulationBatch, PopulationPair


class BaseMethod(nn.Module):
    """A method without its networks; they work in the units of `standardizer`.

    Args:
        shape: Sizes of the data.
        encoder: Condition to vector.
    """

    from_noise = False
    is_straight = False
    needs = Needs()

    def __init__(self, shape: ModelShape, encoder: Encoder) -> None:
        super().__init__()
        self.shape = shape
        self.standardizer = Standardizer(shape.n_features)
        self.encoder = encoder

    def fit_units(self, pairs: Sequence[PopulationPair], unit: Float[Tensor, " d"]) -> None:
        """Set the units of the networks from the training populations, each counted once.

        Args:
            pairs: Training pairs.
            unit: Unit of each feature, positive, shape [d] (see `Standardizer.fit`).
        """
        sources = {id(pair.source): pair.source for pair in pairs}
        populations = [*sources.values(), *(pair.target for pair in pairs)]
        self.standardizer.fit([population.moments() for population in populations], unit)

    def prepare(self, population: PopulationBatch, condition: ConditionBatch) -> Conditioning:
        """The encoded condition, shape [1, c].

        Args:
            population: Not looked at.
            condition: One condition, b = 1.
        """
        return Conditioning(self.encoder(condition))

    def start(self, cells: Float[Tensor, "n d"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """The control cells themselves, shape [n, d]."""
        return cells

    def calibrate(self, cases: Sequence[tuple[Float[Tensor, "_n d"], Conditioning]]) -> Calibrated:
        """Nothing to settle."""
        return Calibrated()
