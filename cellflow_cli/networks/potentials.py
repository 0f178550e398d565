"""Input-convex networks: scalar functions convex in the cell, whose gradient is a transport map."""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow_cli.errors import ConfigError

_UNIT = math.log(math.e - 1)  # its softplus is one


@dataclass(frozen=True, kw_only=True)
class PotentialConfig:
    """Size of a convex potential."""

    width: int = field(default=64, metadata={"help": "Units per layer."})
    n_layers: int = field(default=4, metadata={"help": "Layers."})

    def __post_init__(self) -> None:
        if self.width < 1 or self.n_layers < 1:
            raise ConfigError(
                f"Expected width and n_layers of at least 1, found {self.width}, {self.n_layers}."
            )


class ConvexPotential(nn.Module):
    r"""psi(x | c), convex in the cell x whatever the condition c.

    With u = silu(U c + u_0), `*` element by element, squares too, and sigma the softplus:

        z_1     = sigma(A_1 (x * a_1(u)) + b_1(u))
        z_{l+1} = sigma(V_l^2 (z_l * sigma(g_l(u))) + A_{l+1} (x * a_{l+1}(u)) + b_{l+1}(u))
        psi     = floor |x|^2 / 2 + |r(u) * M x|^2 / 2 + <s(u), x> + <v^2, z_L * sigma(g_L(u))>

    where a, b, g, r and s are affine in u. Layers are only ever added up with weights that are not
    negative and sigma is convex and increasing, so psi is convex by construction: at every step of
    training, and for every average of weights of such networks.

    M starts as the identity, r at sqrt(1 - floor), s at zero and v^2 at 1e-6 in all, so that psi starts as
    |x|^2 / 2 and its gradient as the identity map. The quadratic part is learned, since a fixed
    |x|^2 / 2 would leave maps that contract out of reach.

    Args:
        config: Sizes.
        n_features: d.
        n_condition: c, width of the encoded condition.
        floor: Least second derivative in any direction, in [0, 1).

    Source: Amos et al. (2017), Input Convex Neural Networks, arXiv 1609.07152, section 3.2 (partially
    input convex). Differs: weights that must not be negative are squares instead of being clamped, and
    gates are softplus instead of relu, for a clamped weight no longer learns; the condition has one
    layer that all others read, being a label most of the time; the quadratic part is added, whose
    start at the identity follows Bunne et al. (2022), arXiv 2206.14262.
    """

    def __init__(
        self, config: PotentialConfig, n_features: int, n_condition: int, floor: float = 0.0
    ) -> None:
        super().__init__()
        if not 0 <= floor < 1:
            raise ValueError(f"floor must be in [0, 1), found {floor}")
        width, self.floor = config.width, floor
        self.condition = nn.Sequential(nn.Linear(n_condition, width), nn.SiLU())
        self.layers = nn.ModuleList(_Layer(width, n_features, above=i > 0) for i in range(config.n_layers))
        self.gate = _affine(width, width, start=_UNIT)
        # a square needs a nudge: at zero it has no gradient. Adam moves 1e-3 as far as it moves 1.
        self.weight = nn.Parameter(torch.full((width,), 1e-3 / math.sqrt(width)))
        self.axes = nn.Parameter(torch.eye(n_features))
        self.stretch = _affine(width, n_features, start=math.sqrt(1 - floor), flat=True)
        self.slope = _affine(width, n_features, start=0.0, flat=True)

    def forward(self, x: Float[Tensor, "b n d"], condition: Float[Tensor, "b c"]) -> Float[Tensor, "b n"]:
        """Value of the potential at each cell, shape [b, n].

        Args:
            x: Cells, shape [b, n, d].
            condition: Encoded condition per population, shape [b, c].
        """
        u = self.condition(condition)
        z = self.layers[0](x, u, None)
        for layer in self.layers[1:]:
            z = layer(x, u, z)
        weight = self.weight.square() * nn.functional.softplus(self.gate(u))
        stretch = self.stretch(u).unsqueeze(-1) * self.axes
        quadratic = self.floor * x.square().sum(-1) + (x @ stretch.mT).square().sum(-1)
        rest = x @ self.slope(u).unsqueeze(-1) + z @ weight.unsqueeze(-1)
        return quadratic / 2 + rest.squeeze(-1)

    def gradient(self, x: Float[Tensor, "b n d"], condition: Float[Tensor, "b c"]) -> Float[Tensor, "b n d"]:
        """Gradient of the potential in x at each cell, shape [b, n, d].

        Under `torch.no_grad` it is computed all the same; elsewhere it can be differentiated again.

        Args:
            x: Cells, shape [b, n, d].
            condition: Encoded condition per population, shape [b, c].
        """
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            at = x if x.requires_grad else x.detach().requires_grad_()
            total = self.forward(at, condition).sum()  # no cell enters the value of another
            (gradient,) = torch.autograd.grad(total, at, create_graph=differentiable)
        return gradient


class _Layer(nn.Module):
    # A condition scales weights, w * w of them, not cells, n * w: 9.3 instead of 10.9 ms for 8 x 128 cells.
    def __init__(self, width: int, n_features: int, *, above: bool) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.empty(width, n_features).uniform_(-1, 1) / math.sqrt(n_features))
        self.scale = _affine(width, n_features, start=1.0)
        self.shift = nn.Linear(width, width)
        if above:
            self.gate = _affine(width, width, start=_UNIT)
            self.below = nn.Parameter(torch.randn(width, width) / math.sqrt(width))

    def forward(
        self, x: Float[Tensor, "b n d"], u: Float[Tensor, "b w"], z: Float[Tensor, "b n w"] | None
    ) -> Float[Tensor, "b n w"]:
        point = self.scale(u).unsqueeze(1) * self.point
        h = torch.baddbmm(self.shift(u).unsqueeze(1), x, point.mT)
        if z is not None:
            below = nn.functional.softplus(self.gate(u)).unsqueeze(1) * self.below.square()
            h = torch.baddbmm(h, z, below.mT)
        return nn.functional.softplus(h)


def _affine(n_in: int, n_out: int, *, start: float, flat: bool = False) -> nn.Linear:
    """A linear layer whose bias starts at `start`; `flat` has its weights start at zero."""
    layer = nn.Linear(n_in, n_out)
    nn.init.constant_(layer.bias, start)
    if flat:
        nn.init.zeros_(layer.weight)
    return layer
