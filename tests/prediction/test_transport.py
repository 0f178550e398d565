"""A trained method meets a population: nothing but its own cells matters."""

from dataclasses import replace

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.prediction.transport import prepare, transport
from cellflow_cli.rng import scoped, stream
from cellflow_cli.types import Condition

CONDITION = Condition("drugA", 1.0)


@pytest.fixture(params=Catalog("methods").names())
def method(request, shape, pairs):
    """Trained weights are stood in for by random ones that move cells."""
    with scoped(stream(0, "init")):
        entry = Catalog("methods").load(request.param)
        settings = {"solver": SolverConfig(steps=4)} if "solver" in vars(entry.config()) else {}
        made = entry.build(entry.config(**settings), shape)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    made.fit_units(pairs, torch.ones(3))
    return made.eval()


def carried(method, population, seed=0, chunk=8192, cells=None):
    prepared = prepare(method, population, CONDITION, seed)
    prepared = prepared if cells is None else prepared._replace(start=cells)
    return transport(method, prepared, chunk=chunk)


def test_cells_are_carried_and_evaluations_counted_once(method, make_population):
    population = make_population(50)
    end = carried(method, population, chunk=20)
    assert end.end.shape == population.cells.shape
    assert (end.end - population.cells).abs().max() > 0.01
    assert end.n_evaluations == carried(method, population).n_evaluations > 0
    assert not end.end.requires_grad


def test_the_order_of_rows_does_not_matter(method, make_population, rng):
    """The subsamples are the same bit for bit; matrix products round by their shape, which is the same."""
    population = make_population(600)
    order = torch.randperm(600, generator=rng)
    shuffled = replace(
        population, cells=population.cells[order], node_features=population.node_features[order]
    )
    assert torch.allclose(carried(method, shuffled).end, carried(method, population).end[order], atol=1e-6)


def test_the_size_of_chunks_does_not_matter(method, make_population):
    population = make_population(100)
    whole = carried(method, population).end
    for chunk in (7, 64):
        # float32 matrix products of other shapes round otherwise
        assert torch.allclose(carried(method, population, chunk=chunk).end, whole, atol=1e-5)


def test_the_same_seed_is_the_same_prediction(method, make_population):
    population = make_population(600)
    assert torch.equal(carried(method, population).end, carried(method, population).end)


def test_subsamples_depend_on_the_seed_and_the_sample(method, make_population):
    """600 cells are seen in subsamples, which another seed or name draws otherwise."""
    population = make_population(600, sample="S1")
    renamed = replace(population, sample=("S2",))
    first = carried(method, population).end
    for other in (carried(method, population, seed=1).end, carried(method, renamed).end):
        assert torch.equal(first, other) == (method.needs.context.cells == 0)
        assert torch.allclose(first, other, atol=0.1)  # the same population after all


def test_the_whole_population_informs_a_method_with_an_embedder(method, make_population):
    """The same cells in another population: a difference to `mfm`, alike for `fm`."""
    population, other = make_population(60), make_population(60, shift=1.0)
    own = carried(method, population).end
    elsewhere = carried(method, other, cells=population.cells).end
    assert torch.equal(own, elsewhere) == (method.needs.context.cells == 0)


def test_no_cells_are_no_cells(method, make_population):
    population = make_population(30)
    assert carried(method, population, cells=population.cells[:0]).end.shape == (0, 3)


@pytest.mark.parametrize("name", ["kernel", "set-attention"])
def test_contexts_that_are_queried_hold_some_of_many_cells(name, shape, pairs, make_population):
    choice = Catalog("embedders").choose(name, reference_cells=100, min_cells=50, max_cells=350)
    method = Catalog("methods").build(Catalog("methods").choose("mfm", embedder=choice), shape)
    method.fit_units(pairs, torch.ones(3))
    context = prepare(method.eval(), make_population(1000), CONDITION, 0).conditioning.context
    assert context.cells.shape[1] == 300
    assert len(context.cells[0].unique(dim=0)) == 300
