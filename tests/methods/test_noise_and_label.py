"""What tells the family apart: where the flow starts, and what the field knows of the sample."""

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import ConfigError
from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.methods import Needs
from cellflow_cli.prediction.transport import prepare, transport
from cellflow_cli.rng import scoped, stream
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import Condition, PopulationPair

ROOM = Catalog("methods")
DRUG = Condition("drugB")


def built(name, shape, **settings):
    with scoped(stream(0, "init")):
        method = ROOM.build(ROOM.choose(name, **settings), shape).eval()
    torch.nn.init.normal_(method.field.out.weight, std=0.1)  # the last layer starts at zero
    return method


def start(method, population, condition, seed):
    return prepare(method, population, condition, seed).start


@pytest.mark.parametrize("name", ["fm", "cgfm", "mfm"])
def test_noise_starts_anew_for_each_sample_and_condition_only(name, shape, make_population):
    method = built(name, shape, source="noise")
    population, other = make_population(30, sample="S1"), make_population(30, sample="S2")
    first = start(method, population, DRUG, seed=0)
    assert torch.equal(first, start(method, population, DRUG, seed=0))
    for again in (
        start(method, other, DRUG, seed=0),
        start(method, population, Condition("drugA", 1.0), seed=0),
        start(method, population, DRUG, seed=1),
    ):
        assert not torch.equal(first, again)


def test_noise_is_standard_normal_in_network_units(shape, make_population):
    """20,000 draws: the mean is within 0.05 (7 standard errors) of 0, the spread within 0.05 of 1."""
    method = built("fm", shape, source="noise")
    method.standardizer.center.copy_(torch.tensor([1.0, 2.0, 3.0]))
    method.standardizer.scale.copy_(torch.tensor([2.0, 0.5, 1.0]))
    units = method.standardizer(start(method, make_population(20_000), DRUG, seed=0))
    assert units.mean(0).abs().max() < 0.05
    assert (units.std(0) - 1).abs().max() < 0.05


@pytest.mark.parametrize("name", ["fm", "cgfm", "mfm"])
def test_known_pairs_are_of_use_to_flows_from_control_cells_only(name, shape):
    assert built(name, shape).needs.known_pairs
    assert not built(name, shape, source="noise").needs.known_pairs


def test_control_cells_start_as_they_are(shape, make_population):
    population = make_population(30)
    assert start(built("mfm", shape), population, DRUG, seed=0) is population.cells


def test_an_unknown_source_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'noise'"):
        ROOM.choose("mfm", source="noize")


def test_the_label_matters_and_a_new_sample_has_none(shape, make_population):
    method, population = built("cgfm", shape, solver=SolverConfig(steps=2)), make_population(30)

    def moved(label):
        return transport(method, prepare(method, population, DRUG, 0, label=label)).end

    assert not torch.equal(moved(0), moved(1))
    assert not torch.equal(moved(0), moved(-1))
    no_labels = prepare(method, population, DRUG, 0).conditioning.context.vector
    assert torch.equal(no_labels, torch.zeros(1, len(shape.samples)))


def test_training_starts_at_noise_of_its_own_that_is_coupled(shape, make_population):
    """In place of the control cells, standard normal in network units, other draws for each population."""
    method = built("fm", shape, source="noise")
    pairs = [
        PopulationPair(
            source=make_population(400, shift=50.0, sample=sample),
            target=make_population(400, sample=sample, condition=DRUG),
            pairs=(torch.arange(400), torch.arange(400)),
        )
        for sample in ("S1", "S2")
    ]
    sampler = PairSampler(pairs, shape, Needs(known_pairs=True), n_populations=2, n_cells=400)
    batch = sampler.draw(stream(0))
    assert batch.n_paired.tolist() == [400, 400]
    x0, x1 = method._ends(batch, stream(0, "coupling"))
    assert x0.mean().abs() < 0.15  # 2,400 draws: seven standard errors
    assert abs(x0.std() - 1) < 0.1
    assert not torch.equal(x0[0].sort(dim=0).values, x0[1].sort(dim=0).values)
    plain = torch.randn(x0.shape, generator=stream(0, "coupling"))
    shuffled = (method.standardizer(batch.x1) - plain).square().sum(-1).mean()
    assert (x1 - x0).square().sum(-1).mean() < 0.5 * shuffled  # an optimal pairing is far shorter
