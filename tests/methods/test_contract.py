"""What every method keeps to."""

import dataclasses

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.embedders import cover
from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.methods import Method
from cellflow_cli.networks.field import FieldConfig
from cellflow_cli.rng import scoped, stream
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import Condition

ROOM = Catalog("methods")
STEPS = 4
CONDITION = Condition("drugA", 1.0)


@pytest.fixture(params=ROOM.names())
def build(request):
    entry = ROOM.load(request.param)
    names = [field.name for field in dataclasses.fields(entry.config)]
    small = {
        name: part
        for name, part in (
            ("field", FieldConfig(width=16, n_blocks=1)),
            ("solver", SolverConfig(method="midpoint", steps=STEPS)),
        )
        if name in names
    }

    def built(shape, pairs, seed=0):
        with scoped(stream(seed, "init")):
            method = entry.build(entry.config(**small), shape)
        method.fit_units(pairs, torch.ones(shape.n_features))
        return method

    return built


def batches(method, shape, pairs, seed=0):
    sampler = PairSampler(pairs, shape, method.needs, n_populations=4, n_cells=16)
    rng = stream(seed, "batches")
    while True:
        yield sampler.draw(rng)


def stepped(method, batch, n=1):
    """The method after n gradient steps of each of its phases."""
    optimizer = torch.optim.Adam(method.parameters(), lr=0.01)
    method.train()
    for i in range(n):
        for phase in method.phases():
            optimizer.zero_grad()
            with scoped(stream(i, "dropout")):  # as the training loop does
                terms = method.loss(batch, stream(i, "coupling"), phase.name)
            sum(terms.values()).backward()
            optimizer.step()
    return method.eval()


def conditioned(method, population, condition=CONDITION):
    blocks = cover(population, method.needs.context.cells or 1, -1, stream(0, "context"))
    return method.prepare(blocks, method.shape.encode([condition], population.covariates.unsqueeze(0)))


@torch.no_grad()
def moved(method, population, cells=None, condition=CONDITION):
    cells = population.cells if cells is None else cells
    return method.transport(cells, conditioned(method, population, condition)).end


def test_it_keeps_to_the_contract(build, shape, pairs):
    method = build(shape, pairs)
    assert isinstance(method, Method)
    assert isinstance(method, torch.nn.Module)
    assert method.needs.context.max_cells >= method.needs.context.cells >= 0


def test_calibration_changes_settings_that_there_are(build, shape, pairs):
    """What a method settles on goes into its configuration, by the names of its fields."""
    method = stepped(build(shape, pairs), next(batches(build(shape, pairs), shape, pairs)))
    source = pairs[0].source
    with torch.no_grad():
        calibrated = method.calibrate([(source.cells, conditioned(method, source))])
    fields = {name for entry in ROOM.names() for name in vars(ROOM.load(entry).config())}
    assert set(calibrated.settings) <= fields
    assert all(isinstance(fact, float | bool | None) for fact in calibrated.facts.values())


def test_the_loss_is_named_finite_and_scalar(build, shape, pairs):
    method = build(shape, pairs)
    for phase in method.phases():
        terms = method.loss(next(batches(method, shape, pairs)), stream(0, "coupling"), phase.name)
        assert terms
        for term in terms.values():
            assert term.shape == ()
            assert term.isfinite()


def test_phases_cover_all_parameters_and_the_gradient_reaches_each(build, shape, pairs):
    method = build(shape, pairs)
    batch = next(batches(method, shape, pairs))
    stepped(method, batch)  # a last layer that starts at zero hides the others until it has moved
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    reached = set()
    for phase in method.phases():
        method.zero_grad()
        sum(method.loss(batch, stream(1, "coupling"), phase.name).values()).backward()
        for parameter in phase.parameters:
            name = names[id(parameter)]
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name
            reached.add(name)
    assert reached == set(names.values())


def test_same_seed_same_result(build, shape, pairs):
    methods = [build(shape, pairs) for _ in range(2)]
    ends = [stepped(m, next(batches(m, shape, pairs)), n=2) for m in methods]
    assert torch.equal(moved(ends[0], pairs[0].source), moved(ends[1], pairs[0].source))
    other = build(shape, pairs, seed=1)
    stepped(other, next(batches(other, shape, pairs)), n=2)
    assert not torch.equal(moved(other, pairs[0].source), moved(ends[0], pairs[0].source))


def test_the_state_dict_is_the_whole_method(build, shape, pairs, make_population):
    method = build(shape, pairs)
    stepped(method, next(batches(method, shape, pairs)), n=2)
    other = build(shape, [pairs[0]], seed=9).eval()
    new = make_population(33, shift=0.4, sample="S9")
    assert not torch.equal(moved(other, new), moved(method, new))
    other.load_state_dict(method.state_dict())
    assert torch.equal(moved(other, new), moved(method, new))


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_transport_keeps_shape_and_dtype(build, shape, pairs, make_population, precision):
    method = build(shape, pairs).to(precision).eval()
    population = make_population(33, dtype=precision)
    with torch.no_grad():
        end = method.transport(population.cells[:7], conditioned(method, population))
    assert end.cells.shape == (1, 7, 3)
    assert end.cells.dtype == precision
    assert end.n_evaluations > 0


def test_cells_on_their_way_begin_at_the_start_and_end_at_the_prediction(build, shape, pairs):
    method = build(shape, pairs)
    method = stepped(method, next(batches(method, shape, pairs)), 3)
    source = pairs[0].source
    with torch.no_grad():
        conditioning = conditioned(method, source)
        path = method.transport(source.cells, conditioning, (0.0, 0.25, 0.4, 0.75, 1.0)).cells
        end = method.transport(source.cells, conditioning).end
    assert len(path) == 5
    assert torch.allclose(path[0], source.cells, atol=1e-5)
    assert torch.equal(path[-1], end)
    assert not torch.allclose(path[2], path[-1], atol=1e-3)


def test_cells_move_alone(build, shape, pairs):
    """In any order and any chunk; to rounding, since matrix products depend on their shape."""
    method = build(shape, pairs).double()
    batch = next(batches(method, shape, pairs))
    double = batch._replace(
        x0=batch.x0.double(),
        x1=batch.x1.double(),
        population=batch.population._replace(
            cells=batch.population.cells.double(), node_features=batch.population.node_features.double()
        ),
        condition=batch.condition._replace(covariates=batch.condition.covariates.double()),
    )
    stepped(method, double, n=3)
    source = pairs[0].source
    source = dataclasses.replace(
        source,
        cells=source.cells.double(),
        node_features=source.node_features.double(),
        covariates=source.covariates.double(),
    )
    whole = moved(method, source)
    assert (whole - source.cells).abs().max() > 0.01
    backwards = moved(method, source, source.cells.flip(0)).flip(0)
    parts = torch.cat([moved(method, source, part) for part in source.cells.split(9)])
    assert torch.allclose(whole, backwards, atol=1e-12)
    assert torch.allclose(whole, parts, atol=1e-12)


def test_conditions_are_told_apart(build, shape, pairs):
    method = build(shape, pairs)
    stepped(method, next(batches(method, shape, pairs)), n=3)
    ends = [moved(method, pairs[0].source, condition=c) for c in (CONDITION, Condition("drugB"))]
    assert (ends[0] - ends[1]).abs().max() > 1e-3
