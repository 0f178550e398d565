"""CellOT against the Monge map between Gaussians in closed form."""

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.config import from_dict
from cellflow_cli.errors import ConfigError, NumericalError
from cellflow_cli.methods import Needs
from cellflow_cli.prediction.transport import prepare, transport
from cellflow_cli.rng import scoped, stream, streams
from cellflow_cli.training.config import TrainingConfig
from cellflow_cli.training.loop import fit
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import Condition, ModelShape, Population, PopulationPair
from tests.gaussians import cells_with_moments, monge_map

M0, S0 = torch.tensor([0.0, 1.0]), torch.tensor([[1.5, 0.0], [0.0, 0.3]])
TARGETS = {
    "right": (torch.tensor([2.0, 1.0]), torch.tensor([[0.8, -0.6], [-0.6, 0.8]])),
    "up": (torch.tensor([0.5, 2.5]), torch.tensor([[0.7, 0.5], [0.5, 1.0]])),
}
SHAPE = ModelShape(n_features=2, treatments=tuple(TARGETS))


def population(mean, covariance, n, rng, condition=None):
    cells = cells_with_moments(mean, covariance, n, rng)
    return Population(sample=("S",), group="S", cells=cells, condition=condition)


def gaussian_pairs(rng, n=4000):
    source = population(M0, S0, n, rng)
    return [
        PopulationPair(source=source, target=population(m, s, n, rng, Condition(name)))
        for name, (m, s) in TARGETS.items()
    ]


def choice(**settings):
    given = {"name": "cellot", "potential": {"width": 32, "n_layers": 2}, **settings}
    data = {"treatment_key": "t", "control": "c", "sample_key": "s"}
    return from_dict({"data": data, "method": given}).method


def untrained(pairs, seed=0, **settings):
    with scoped(stream(seed, "init")):
        method = Catalog("methods").build(choice(**settings), SHAPE)
    method.fit_units(pairs, torch.ones(2))
    return method


def trained(pairs, steps, **settings):
    method = untrained(pairs, **settings)
    sampler = PairSampler(pairs, SHAPE, method.needs, n_populations=2, n_cells=96)
    config = TrainingConfig(steps=steps, learning_rate=1e-2, warmup_steps=20)
    end = fit(method, sampler.draw, config, streams(0))
    method.load_state_dict(end.state)
    return method, end


def moved(method, source, treatment):
    return transport(method, prepare(method, source, Condition(treatment), seed=0))


def relative_error(end, truth, start):
    return float((end - truth).square().mean().sqrt() / (truth - start).square().mean().sqrt())


@pytest.fixture(scope="module")
def learned():
    rng = stream(0, "gaussians")
    return trained(gaussian_pairs(rng), steps=500, inner_steps=3)


def test_training_finds_the_monge_map_of_each_treatment(learned, rng):
    """Cells go to m1 + A (x - m0), where a mean shift would be off by what A - I makes of them.

    500 steps, 125 of them the critic's, bring two small networks to 2 to 6 % of the way that cells go
    and their moments to 0.05; the mean shift is 32 and 41 % off.
    """
    method, _ = learned
    fresh = population(M0, S0, 1000, rng)
    for name, (m, s) in TARGETS.items():
        end = moved(method, fresh, name).end
        truth = m + (fresh.cells - M0) @ monge_map(S0, s)
        error = relative_error(end, truth, fresh.cells)
        assert error < 0.12
        assert error < 0.35 * relative_error(fresh.cells + m - M0, truth, fresh.cells)
        assert (end.mean(0) - m).abs().max() < 0.12
        assert (torch.cov(end.T, correction=0) - s).abs().max() < 0.15


def test_the_trained_map_is_the_gradient_of_a_convex_function(learned, rng):
    """Its derivative is symmetric and nowhere negative, its potential below its chords."""
    method, _ = learned
    encoded = method.encoder(SHAPE.encode([Condition("right")], torch.zeros(1, 0)))
    x, y = (2 * torch.randn(1, 40, 2, generator=rng) for _ in range(2))
    with torch.no_grad():
        for network in (method.potential, method.critic):
            ends = network(x, encoded) + network(y, encoded)
            assert (network((x + y) / 2, encoded) <= ends / 2 + 1e-5 * ends.abs()).all()
    jacobian = torch.autograd.functional.jacobian(
        lambda point: method.potential.gradient(point, encoded), x[:, :1]
    ).reshape(2, 2)
    assert torch.allclose(jacobian, jacobian.T, atol=1e-5)
    assert torch.linalg.eigvalsh(jacobian).min() > 0


def test_the_critic_is_the_conjugate_of_the_potential(learned, rng):
    """Both gradients in a row lead back: grad f(grad g(x)) = x, within the error of the map."""
    method, _ = learned
    fresh = population(M0, S0, 1000, rng)
    z = method.standardizer(fresh.cells).unsqueeze(0)
    for name in TARGETS:
        encoded = method.encoder(SHAPE.encode([Condition(name)], torch.zeros(1, 0)))
        with torch.no_grad():
            back = method.critic.gradient(method.potential.gradient(z, encoded), encoded)
        assert (back - z).square().mean().sqrt() < 0.15  # network units: cells have spread one


def test_both_players_are_in_the_history(learned):
    _, end = learned
    assert all({"critic", "transport"} <= set(row) for row in end.history.rows)


def test_the_losses_at_the_start_are_known(rng):
    """Of two identity maps: E[|x0|^2/2 - |x0|^2] for the transport, E|x1|^2/2 - E|x0|^2/2 for the critic."""
    pairs = gaussian_pairs(rng, n=200)
    method = untrained(pairs)
    sampler = PairSampler(pairs, SHAPE, Needs(), n_populations=2, n_cells=96)
    batch = sampler.draw(stream(0, "batches"))
    halves = [method.standardizer(x).square().sum(-1).mean() / 2 for x in (batch.x0, batch.x1)]
    found = {
        name: method.loss(batch, stream(0, "coupling"), name)[name].detach()
        for name in ("transport", "critic")
    }
    assert torch.allclose(found["transport"], -halves[0], atol=1e-4)
    assert torch.allclose(found["critic"], halves[1] - halves[0], atol=1e-4)


def test_each_player_leaves_the_condition_of_the_other_alone(rng):
    """The critic's loss does not reach the potential; learned encoders belong to the transport."""
    pairs = gaussian_pairs(rng, n=200)
    method = untrained(pairs)
    batch = PairSampler(pairs, SHAPE, Needs(), n_populations=2, n_cells=16).draw(rng)
    method.loss(batch, rng, "critic")["critic"].backward()
    assert all(parameter.grad is None for parameter in method.potential.parameters())
    assert any(parameter.grad is not None for parameter in method.critic.parameters())


def test_an_untrained_method_leaves_cells_where_they_are(rng):
    pairs = gaussian_pairs(rng, n=200)
    source = pairs[0].source
    end = moved(untrained(pairs), source, "up")
    assert end.n_evaluations == 1  # one gradient
    # into the units of the network and back, and a bent part that starts at a millionth
    assert torch.allclose(end.end, source.cells, atol=1e-5)


def test_saved_and_loaded_weights_move_cells_alike(learned, rng):
    method, end = learned
    fresh = population(M0, S0, 50, rng)
    other = untrained(gaussian_pairs(rng, n=30), seed=5).eval()
    other.load_state_dict(end.state, strict=True)
    assert torch.equal(moved(other, fresh, "up").end, moved(method, fresh, "up").end)


def test_phases_carry_the_turns_and_the_rates(rng):
    method = untrained(gaussian_pairs(rng, n=30), inner_steps=7, learning_rate=2e-4, betas=[0.0, 0.5])
    phases = list(method.phases())
    assert [(p.name, p.steps, p.learning_rate, p.betas) for p in phases] == [
        ("critic", 1, 2e-4, (0.0, 0.5)),
        ("transport", 7, 2e-4, (0.0, 0.5)),
    ]
    assert all(p.learning_rate is None for p in untrained(gaussian_pairs(rng, n=30)).phases())


def test_cells_that_do_not_stay_finite_stop_the_prediction(rng):
    pairs = gaussian_pairs(rng, n=30)
    wild = Population(sample=("S",), group="S", cells=torch.full((3, 2), float("inf")))
    with pytest.raises(NumericalError, match="finite cells"):
        moved(untrained(pairs), wild, "up")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_steps": 0}, "inner_steps of at least 1"),
        ({"max_stretch": 1.0}, "max_stretch above 1"),
        ({"learning_rate": 0.0}, "learning_rate above zero"),
        ({"betas": [0.5]}, "betas to be two numbers"),
        ({"betas": [0.5, 1.0]}, "betas to be two numbers"),
        ({"potential": {"width": 0}}, "width"),
        ({"field": {"width": 8}}, r"method\.field"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        choice(**settings)


def test_units_are_of_controls_and_treated_and_pairs_of_no_use(shape, pairs):
    method = Catalog("methods").build(Catalog("methods").choose("cellot"), shape)
    method.fit_units(pairs, torch.ones(3))
    cells = [*(p.source.cells for p in pairs[::2]), *(p.target.cells for p in pairs)]
    center = torch.stack([c.double().mean(0) for c in cells]).mean(0)
    assert torch.allclose(method.standardizer.center.double(), center, atol=1e-6)
    assert not method.needs.known_pairs


def test_the_critic_bends_everywhere(shape):
    """Its least curvature bounds how far apart two cells may be carried."""
    method = Catalog("methods").build(Catalog("methods").choose("cellot", max_stretch=10.0), shape).double()
    for parameter in method.critic.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(1, 1, 3, dtype=torch.float64)
    condition = torch.zeros(1, int(method.encoder.width), dtype=torch.float64)
    hessian = torch.func.hessian(lambda x: method.critic(x.view(1, 1, 3), condition).sum())(x.view(3))
    assert torch.linalg.eigvalsh(hessian).min() >= 0.1 - 1e-9
