"""Every control cell moves by a shift regressed on the sample's control mean (ridge)."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from cellflow_cli.baselines._baseline import BaselineRequest
from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.baselines._trained import trained, unit
from cellflow_cli.catalog import Entry
from cellflow_cli.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RidgeConfig:
    """How strongly the regression is pulled towards the mean shift."""

    penalty: float = field(
        default=1.0, metadata={"help": "Penalty, in mean eigenvalues of the matrix of control means."}
    )

    def __post_init__(self) -> None:
        if not self.penalty > 0:
            raise ConfigError(f"Expected `penalty` above zero, found {self.penalty!r}.")


class Ridge:
    """One shift per sample, linear in its control mean, added to every control cell.

    Args:
        config: Penalty.
    """

    def __init__(self, config: RidgeConfig) -> None:
        self.config = config

    def predict(
        self, request: BaselineRequest, summaries: Summaries, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Control cells plus `ridge` at their mean, features divided by the training spread, shape [n, d].

        Raises:
            MetricError: If no training population had this treatment at this dose.
        """
        training, scale = trained(summaries, request.condition), unit(summaries)
        shift = ridge(
            training.mean / scale, training.shift / scale, request.mean / scale, self.config.penalty
        )
        return request.control + (shift * scale).to(request.control)


def ridge(
    x: Float64[Tensor, "p d"], y: Float64[Tensor, "p e"], at: Float64[Tensor, " d"], penalty: float = 1.0
) -> Float64[Tensor, " e"]:
    r"""Ridge regression of y on x at one point, intercept unpenalised, float64.

    f(at) = mean y + (at - mean x) Xc^T (Xc Xc^T + lambda I)^-1 Yc,  lambda = penalty tr(Xc Xc^T) / p

    with Xc, Yc the centred rows and tr / p the mean eigenvalue of the Gram matrix. Where all x are
    equal (one sample, say), nothing can be regressed on them and the answer is the mean of y.

    Args:
        x: Inputs, one row per sample, shape [p, d].
        y: Answers, shape [p, e].
        at: Where to predict, shape [d].
        penalty: Number of mean eigenvalues.

    Source: Hoerl and Kennard (1970), Ridge regression: biased estimation for nonorthogonal
    problems; in its dual form, since samples are fewer than features.
    """
    centred = x - x.mean(0)
    gram = centred @ centred.T
    strength = penalty * gram.trace() / len(x)
    if strength == 0:
        return y.mean(0)
    inner = gram + strength * torch.eye(len(x), dtype=x.dtype)
    return y.mean(0) + (at - x.mean(0)) @ centred.T @ torch.linalg.solve(inner, y - y.mean(0))


def build(config: RidgeConfig) -> Ridge:
    """The baseline that `config` describes."""
    return Ridge(config)


ENTRY = Entry(RidgeConfig, build)
