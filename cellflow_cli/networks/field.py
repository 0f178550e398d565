"""Velocity field: a residual network of the point and the time, conditioned on treatment and context."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow_cli.errors import ConfigError
from cellflow_cli.networks.time import SinusoidalTime


@dataclass(frozen=True, kw_only=True)
class FieldConfig:
    """Size of the velocity field."""

    width: int = field(default=128, metadata={"help": "Units per layer."})
    n_blocks: int = field(default=2, metadata={"help": "Residual blocks of two layers each."})
    time_features: int = field(default=32, metadata={"help": "Sinusoidal features of flow time; even."})
    dropout: float = field(default=0.0, metadata={"help": "Share of units dropped in training."})
    modulated: bool = field(
        default=False, metadata={"help": "The context scales and shifts the units of every block."}
    )

    def __post_init__(self) -> None:
        if self.width < 1 or self.n_blocks < 1:
            raise ConfigError(
                f"Expected width and n_blocks of at least 1, found {self.width}, {self.n_blocks}."
            )
        if self.time_features < 2 or self.time_features % 2:
            raise ConfigError(f"Expected an even number of time_features, found {self.time_features}.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"Expected dropout in [0, 1), found {self.dropout}.")


class VelocityField(nn.Module):
    """v(x, t | condition, context), a residual multilayer perceptron.

    The last layer starts at zero, so an untrained field leaves every cell where it is and
    training learns a displacement. The context is added before the first block; a modulated field
    multiplies by it too, in every block, so that what a point means can depend on the population.

    Args:
        config: Sizes.
        n_features: d.
        n_condition: c, width of the encoded condition.
        n_context: e, width of the context; zero where the field is not conditioned on the population.

    Source: Perez et al. (2018), FiLM, equations 1 and 2, for the modulation; Peebles and Xie (2023),
    Scalable diffusion models with transformers, section 3.2, for starting it at the identity.
    """

    def __init__(self, config: FieldConfig, n_features: int, n_condition: int, n_context: int) -> None:
        super().__init__()
        width = config.width
        self.time = SinusoidalTime(config.time_features)
        self.n_context = n_context
        self.point = nn.Linear(n_features, width)
        self.condition = nn.Linear(config.time_features + n_condition, width, bias=False)
        self.context = nn.Linear(n_context, width, bias=False) if n_context else None
        n_modulating = n_context if config.modulated else 0
        self.blocks = nn.ModuleList(
            _Block(width, config.dropout, n_modulating) for _ in range(config.n_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, n_features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        t: Float[Tensor, "b n"],
        condition: Float[Tensor, "b c"],
        context: Float[Tensor, "b #n e"] | None,
    ) -> Float[Tensor, "b n d"]:
        """Velocity at each point.

        Args:
            x: Points, shape [b, n, d].
            t: Flow time of each point, shape [b, n].
            condition: Encoded condition per population, shape [b, c].
            context: Context of the population at each point, shape [b, n, e], or [b, 1, e] where it is
                the same at all of them, or None.
        """
        b, n, _ = x.shape
        given = torch.cat([self.time(t), condition.unsqueeze(1).expand(b, n, -1)], dim=-1)
        h = self.point(x) + self.condition(given)
        if self.context is not None:
            if context is None:
                raise ValueError("this field is conditioned on a context, found none")
            h = h + self.context(context)
        for block in self.blocks:
            h = block(h, context)
        return self.out(self.norm(h))


class _Block(nn.Module):
    """h + W_2 silu(W_1 (scale * norm(h) + shift)); scale 1, shift 0 where the context does not modulate."""

    def __init__(self, width: int, dropout: float, n_context: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )
        self.modulation = nn.Linear(n_context, 2 * width) if n_context else None
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(
        self, h: Float[Tensor, "b n w"], context: Float[Tensor, "b #n e"] | None
    ) -> Float[Tensor, "b n w"]:
        norm, layers = self.layers[0], self.layers[1:]
        u = norm(h)
        if self.modulation is not None:
            scale, shift = self.modulation(context).chunk(2, dim=-1)
            u = (1 + scale) * u + shift
        return h + layers(u)
