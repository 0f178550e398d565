"""A trained field between Gaussians against the velocity in closed form."""

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.config import from_dict
from cellflow_cli.flow.ode import SolverConfig, integrate
from cellflow_cli.prediction.transport import prepare, transport
from cellflow_cli.rng import scoped, stream, streams
from cellflow_cli.training.config import TrainingConfig
from cellflow_cli.training.loop import fit
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import Condition, ModelShape, Population, PopulationPair
from tests.gaussians import cells_with_moments, independent, optimal

M0, S0 = torch.tensor([0.0, 1.0]), torch.tensor([[1.5, 0.0], [0.0, 0.3]])
TARGETS = {
    "right": (torch.tensor([2.0, 1.0]), torch.tensor([[0.8, -0.6], [-0.6, 0.8]])),
    "up": (torch.tensor([0.5, 2.5]), torch.tensor([[0.7, 0.5], [0.5, 1.0]])),
}
DATA = {"treatment_key": "t", "control": "c", "sample_key": "s"}


def population(mean, covariance, n, rng, condition=None):
    cells = cells_with_moments(mean, covariance, n, rng)
    return Population(sample=("S",), group="S", cells=cells, condition=condition)


@pytest.mark.parametrize(
    ("coupling", "closed_form", "other_form"),
    [("independent", independent, optimal), ("exact-ot", optimal, independent)],
)
def test_training_finds_the_closed_form_flow(coupling, closed_form, other_form, rng):
    settings = {"name": "fm", "coupling": coupling, "field": {"width": 48, "n_blocks": 1, "time_features": 8}}
    choice = from_dict({"data": DATA, "method": settings}).method
    shape = ModelShape(n_features=2, treatments=tuple(TARGETS))
    source = population(M0, S0, 4000, rng)
    pairs = [
        PopulationPair(source=source, target=population(m, s, 4000, rng, Condition(name)))
        for name, (m, s) in TARGETS.items()
    ]
    with scoped(stream(0, "init")):
        method = Catalog("methods").build(choice, shape)
    method.fit_units(pairs, torch.ones(2))
    sampler = PairSampler(pairs, shape, method.needs, n_populations=2, n_cells=96)
    config = TrainingConfig(steps=200, learning_rate=1e-2, ema=0.98, warmup_steps=20)
    method.load_state_dict(fit(method, sampler.draw, config, streams(0)).state)

    method.solver = solver = SolverConfig(method="rk4", steps=20)
    fresh = population(M0, S0, 1000, rng)
    for name, (m, s) in TARGETS.items():
        prepared = prepare(method, fresh, Condition(name), seed=0)
        end = transport(method, prepared).end
        truth = integrate(closed_form(M0, S0, m, s), fresh.cells, solver).end
        # 200 steps bring a small field to 4 to 8 % of the way that cells go, 0.06 from the moments; the
        # other coupling would lead 20 % astray, to the same moments
        assert relative_error(end, truth, fresh.cells) < 0.12
        assert (end.mean(0) - m).abs().max() < 0.12
        assert (torch.cov(end.T, correction=0) - s).abs().max() < 0.12
        astray = integrate(other_form(M0, S0, m, s), fresh.cells, solver).end
        assert relative_error(end, astray, fresh.cells) > 0.15


def relative_error(end, truth, start):
    return (end - truth).square().mean().sqrt() / (truth - start).square().mean().sqrt()
