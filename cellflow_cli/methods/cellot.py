"""CellOT: cells move along the gradient of a convex network that is conditioned on the treatment.

Recipe: the defaults of the training loop (1,000 steps at 1e-3, warm-up and cosine, averaged weights)
with one step of the critic and four of the transport in turn. The two terms of the loss are moves in
a game and need not fall: the validation score tells how it goes. Measured on held-out donors (energy
distance, mean of four folds of two donors, 60 or 200 cells per population, one seed):

    24 markers (BCR-XL)             .136 from step 200 on; mean shift .161
    20 principal components (Kang)  .17 at step 400, .13 at 1,000; mean shift 1.15
    10 inner steps                  slower: .149 on the markers at 400, .29 on the components at 1,000
    learning rate 3e-3              .138 on the markers at 100 already, but wanders between .13 and .30
                                    on the components; for two features 1e-2 is fine
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.catalog import Catalog, Choice, Entry
from cellflow_cli.conditions.dose import DoseConfig
from cellflow_cli.errors import ConfigError
from cellflow_cli.methods._method import Conditioning, Method, Phase
from cellflow_cli.methods._static_map import StaticMap
from cellflow_cli.networks.potentials import ConvexPotential, PotentialConfig
from cellflow_cli.types import Batch, ModelShape


@dataclass(frozen=True, kw_only=True)
class CellotConfig:
    """Two convex networks and how they take turns."""

    potential: PotentialConfig = field(
        default_factory=PotentialConfig, metadata={"help": "Size of each of the two networks."}
    )
    condition: Choice = field(
        default_factory=lambda: Choice("dose", DoseConfig()),
        metadata={"help": "How treatment and dose are encoded.", "catalog": "conditions"},
    )
    inner_steps: int = field(
        default=4, metadata={"help": "Steps of the transport after each step of the critic."}
    )
    max_stretch: float = field(
        default=20.0, metadata={"help": "Factor of two cells' distance beyond which no map is sought."}
    )
    learning_rate: float | None = field(
        default=None, metadata={"help": "Peak rate of both networks; left out: training.learning_rate."}
    )
    betas: tuple[float, ...] = field(
        default=(0.5, 0.9), metadata={"help": "Decays of Adam's averages of the gradient and its square."}
    )

    def __post_init__(self) -> None:
        if self.inner_steps < 1:
            raise ConfigError(f"Expected method.inner_steps of at least 1, found {self.inner_steps}.")
        if not self.max_stretch > 1:
            raise ConfigError(f"Expected method.max_stretch above 1, found {self.max_stretch}.")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ConfigError(f"Expected method.learning_rate above zero, found {self.learning_rate}.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"Expected method.betas to be two numbers in [0, 1), found {self.betas}.")


class CellOT(StaticMap):
    r"""Optimal transport as a game of two convex networks, both conditioned on treatment and dose.

    For controls x ~ P and treated cells y ~ Q of one condition, transport potential g and critic f:

        min_g max_f  E_P[f(grad g(x)) - <x, grad g(x)>] - E_Q[f(y)]

    At the best g for a given f, g is the conjugate of f on P, and the value is that of the dual
    problem of optimal transport with squared distances; at the best f, grad g is the Monge map
    from P to Q. Expectations are linear, so populations of one condition count as one pooled
    population. Known pairs of cells are not used: a Monge map makes pairs of its own.

    Args:
        config: Sizes and turns.
        shape: Sizes of the data.

    Source: Makkuva et al. (2020), Optimal transport mapping via input convex neural networks,
    arXiv 1908.10962, section 3, with the roles of Bunne et al. (2023), Nature Methods 20:1759.
    Differs: g is convex by construction where they penalise its negative weights and clamp those of
    f; f has a least curvature of 1 / max_stretch, without which the inner problem has no minimum
    where f is flat (it bounds the slope of the map sought: the gradient of f's conjugate); both
    start at |x|^2 / 2, and f begins; 4 inner steps at 1e-3 instead of 10 at 1e-4; cells are
    standardised; the condition enters both networks, as in Bunne et al. (2022), arXiv 2206.14262,
    instead of one model per treatment.
    """

    def __init__(self, config: CellotConfig, shape: ModelShape) -> None:
        super().__init__(shape, Catalog("conditions").build(config.condition, shape))
        self.config = config
        d, c = shape.n_features, self.encoder.width
        self.potential = ConvexPotential(config.potential, d, c)
        self.critic = ConvexPotential(config.potential, d, c, floor=1 / config.max_stretch)

    def phases(self) -> Iterator[Phase]:
        """One step of the critic, then several of the transport, with the encoder.

        The critic begins, since at their start the two are conjugate already.
        """
        rate, betas = self.config.learning_rate, (self.config.betas[0], self.config.betas[1])
        transport = [*self.encoder.parameters(), *self.potential.parameters()]
        yield Phase("critic", list(self.critic.parameters()), 1, rate, betas)
        yield Phase("transport", transport, self.config.inner_steps, rate, betas)

    def loss(
        self, batch: Batch, rng: torch.Generator, phase: str = "transport"
    ) -> Mapping[str, Float[Tensor, ""]]:
        """What the player whose turn it is wants to be small, network units squared.

            transport   E[f(grad g(x0)) - <x0, grad g(x0)>]
            critic      E[f(x1)] - E[f(grad g(x0))]

        Args:
            batch: Cells in the units of the data.
            rng: Not drawn from.
            phase: `"transport"` or `"critic"`.
        """
        x0, x1 = self.standardizer(batch.x0), self.standardizer(batch.x1)
        condition = self.encoder(batch.condition)
        if phase == "critic":
            with torch.no_grad():
                moved = self.potential.gradient(x0, condition)
            both = self.critic(torch.cat([x1, moved], dim=1), condition.detach())
            return {"critic": both[:, : x1.shape[1]].mean() - both[:, x1.shape[1] :].mean()}
        moved = self.potential.gradient(x0, condition)
        value = self.critic(moved, condition.detach())
        return {"transport": (value - (x0 * moved).sum(-1)).mean()}

    def map(self, x: Float[Tensor, "b n d"], conditioning: Conditioning) -> Float[Tensor, "b n d"]:
        """The gradient of the transport potential at each cell, network units, shape [b, n, d]."""
        return self.potential.gradient(x, conditioning.condition)


ENTRY: Entry[Method] = Entry(CellotConfig, CellOT)
