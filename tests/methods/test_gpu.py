"""The same numbers on a GPU as on the CPU, to rounding."""

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.prediction.transport import prepare, transport
from cellflow_cli.rng import scoped, stream, streams
from cellflow_cli.training.config import TrainingConfig
from cellflow_cli.training.loop import fit
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import Condition, Population, PopulationPair

CONFIG = TrainingConfig(steps=20, populations_per_step=4, cells_per_population=32)


def on(device, population):
    return Population(
        sample=population.sample,
        group=population.group,
        condition=population.condition,
        cells=population.cells.to(device),
        node_features=population.node_features.to(device),
        covariates=population.covariates.to(device),
    )


def trained(name, shape, pairs, device):
    moved = [PopulationPair(source=on(device, p.source), target=on(device, p.target)) for p in pairs]
    with scoped(stream(0, "init")):
        entry = Catalog("methods").load(name)
        config = entry.config(
            **({"solver": SolverConfig(steps=8)} if "solver" in vars(entry.config()) else {})
        )
        method = entry.build(config, shape).to(device)
    method.fit_units(moved, torch.ones(3, dtype=torch.float64, device=device))
    sampler = PairSampler(
        moved,
        shape,
        method.needs,
        n_populations=CONFIG.populations_per_step,
        n_cells=CONFIG.cells_per_population,
    )
    method.load_state_dict(fit(method, sampler.draw, CONFIG, streams(0)).state)
    return method


def carried(method, population, device):
    prepared = prepare(method, on(device, population), Condition("drugA", 1.0), seed=0)
    return transport(method, prepared).end.cpu()


@pytest.mark.gpu
@pytest.mark.parametrize("name", Catalog("methods").names())
def test_prediction(name, shape, pairs):
    """A trained method moved to the GPU: float32 rounding through 16 evaluations of the field."""
    method = trained(name, shape, pairs, "cpu")
    expected = carried(method, pairs[0].source, "cpu")
    assert torch.allclose(carried(method.to("cuda"), pairs[0].source, "cuda"), expected, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("name", Catalog("methods").names())
def test_training(name, shape, pairs):
    """Same batches and pairs, since these are drawn on the CPU; twenty steps of Adam spread rounding."""
    ends = [carried(trained(name, shape, pairs, d), pairs[0].source, d) for d in ("cpu", "cuda")]
    shift = (ends[0] - pairs[0].source.cells).abs().max()
    assert (ends[0] - ends[1]).abs().max() < 0.02 * shift


@pytest.mark.gpu
def test_the_state_of_the_gpu_generator_is_put_back():
    torch.zeros(1, device="cuda")
    before = torch.cuda.get_rng_state()
    with scoped(stream(0, "dropout")):
        first = torch.rand(3, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), before)
    with scoped(stream(0, "dropout")):
        assert torch.equal(torch.rand(3, device="cuda"), first)
