"""What `fm` and `mfm` share, on small problems."""

import dataclasses

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.embedders import cover
from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.networks.field import FieldConfig
from cellflow_cli.rng import scoped, stream
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import Condition

CONDITION = Condition("drugB")


@pytest.fixture(params=["fm", "mfm"])
def method(request, shape, pairs):
    choice = Catalog("methods").choose(request.param, field=FieldConfig(width=16, n_blocks=1))
    with scoped(stream(0, "init")):
        made = Catalog("methods").build(choice, shape)
    made.fit_units(pairs, torch.ones(3))
    return made


@pytest.fixture
def batch(method, shape, pairs):
    sampler = PairSampler(pairs, shape, method.needs, n_populations=4, n_cells=16)
    return sampler.draw(stream(0, "batches"))


@torch.no_grad()
def conditioned(method, population, condition=CONDITION):
    blocks = cover(population, method.needs.context.cells or 1, -1, stream(0))
    return method.prepare(blocks, method.shape.encode([condition], population.covariates.unsqueeze(0)))


@torch.no_grad()
def loss(method, batch):
    return method.loss(batch, stream(0, "coupling"))["flow"].item()


def test_learning_lowers_the_loss(method, batch):
    before = loss(method, batch)
    optimizer = torch.optim.Adam(method.parameters(), lr=0.01)
    for i in range(20):
        optimizer.zero_grad()
        method.loss(batch, stream(i, "coupling"))["flow"].backward()
        optimizer.step()
    assert loss(method, batch) < 0.8 * before


def test_an_untrained_field_leaves_cells_where_they_are(method, shape, pairs):
    source = pairs[0].source
    method.solver = SolverConfig(steps=4)
    end = method.eval().transport(source.cells, conditioned(method, source)).end
    # into the units of the network and back costs two roundings
    assert torch.allclose(end, source.cells, atol=1e-5)


def test_the_untrained_loss_is_the_mean_square_of_the_moves(method, batch):
    """A field of zero errs by the whole velocity x1 - x0 of the pairs, in units of the network."""
    given = batch._replace(n_paired=torch.full((4,), 16))
    moves = (batch.x1 - batch.x0) / method.standardizer.scale
    assert loss(method, given) == pytest.approx(moves.square().mean().item(), rel=1e-5)


def test_known_pairs_are_kept_and_others_are_chosen(method, batch):
    """Twenty times apart, pairing by chance or by distance costs otherwise than the pairs given."""
    far = batch._replace(x1=20 * batch.x0.flip(1))
    given, free = (loss(method, far._replace(n_paired=torch.full((4,), known))) for known in (16, 0))
    assert given == pytest.approx(
        (far.x1 - far.x0).div(method.standardizer.scale).square().mean().item(), rel=1e-5
    )
    assert abs(free - given) > 0.01 * given


def test_pairs_are_known_population_by_population(method, batch):
    far = batch._replace(x1=20 * batch.x0.flip(1), n_paired=torch.tensor([16, 0, 16, 0]))
    some = loss(method, far)
    ends = [loss(method, far._replace(n_paired=torch.full((4,), known))) for known in (16, 0)]
    assert min(ends) < some < max(ends)


def test_cells_after_the_known_pairs_are_coupled_among_themselves(method):
    """On a line the optimal plan keeps the order; the first two pairs cross it and stay."""
    x0 = torch.arange(6.0)[None, :, None].expand(1, 6, 3)
    x1 = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])[None, :, None].expand(1, 6, 3)
    a, b = method._coupled(x0, x1, torch.tensor([2]), stream(0))
    found = dict(zip(a[0, :, 0].tolist(), b[0, :, 0].tolist(), strict=True))
    assert found == {0: 5, 1: 4, 2: 0, 3: 1, 4: 2, 5: 3}


def test_units_of_the_data_do_not_matter(shape, pairs):
    """Features times ten and a hundred further on: the same context and the same loss."""

    def changed(population):
        return dataclasses.replace(population, cells=10 * population.cells + 100)

    sources = {id(p.source): changed(p.source) for p in pairs}  # which pairs share
    moved = [dataclasses.replace(p, source=sources[id(p.source)], target=changed(p.target)) for p in pairs]
    contexts, losses = [], []
    for own, unit in ((pairs, 1.0), (moved, 10.0)):
        with scoped(stream(0, "init")):
            method = Catalog("methods").build(Catalog("methods").choose("mfm"), shape)
        method.fit_units(own, torch.full((3,), unit))
        method.eval()  # the context is of all cells
        contexts.append(conditioned(method, own[0].source).context)
        sampler = PairSampler(own, shape, method.needs, n_populations=4, n_cells=16)
        losses.append(loss(method, sampler.draw(stream(0, "batches"))))
    at = torch.zeros(1, 1, 3), torch.zeros(1, 1)
    # float32 cells around 100 carry seven digits, so five after the change of units
    assert torch.allclose(contexts[0].query(*at), contexts[1].query(*at), atol=1e-3)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_every_control_population_counts_once_in_the_units(method, pairs):
    """Two treatments of one sample share its controls."""
    cells = [*(p.source.cells for p in pairs[::2]), *(p.target.cells for p in pairs)]
    center = torch.stack([c.double().mean(0) for c in cells]).mean(0)
    assert torch.allclose(method.standardizer.center.double(), center, atol=1e-6)


def test_every_cell_is_shown_at_a_time_of_its_own(method, batch):
    seen = []
    original = method.path.sample
    method.path.sample = lambda x0, x1, t: seen.append(t) or original(x0, x1, t)
    loss(method, batch)
    (t,) = seen
    assert len(t.unique()) == 4 * 16
    assert t.min() >= 0
    assert t.max() <= 1


def test_field_and_context_are_queried_at_the_same_point_and_time(shape, pairs, monkeypatch):
    with scoped(stream(0, "init")):
        method = Catalog("methods").build(Catalog("methods").choose("mfm"), shape)
    method.fit_units(pairs, torch.ones(3))
    queries, fields = [], []
    context_type, field = type(conditioned(method, pairs[0].source).context), method.field.forward
    query = context_type.query
    monkeypatch.setattr(context_type, "query", lambda c, x, t: queries.append((x, t)) or query(c, x, t))
    monkeypatch.setattr(
        method.field, "forward", lambda x, t, *rest: fields.append((x, t)) or field(x, t, *rest)
    )
    sampler = PairSampler(pairs, shape, method.needs, n_populations=4, n_cells=16)
    loss(method, sampler.draw(stream(0, "batches")))
    method.solver = SolverConfig(steps=2)
    method.transport(pairs[0].source.cells, conditioned(method, pairs[0].source))
    assert len(queries) == len(fields) == 1 + 2 * 2
    for (x, t), (field_x, field_t) in zip(queries, fields, strict=True):
        assert torch.equal(x, field_x)
        assert torch.equal(t, field_t)
    assert fields[0][1].unique().numel() == 4 * 16


@pytest.mark.parametrize(
    ("name", "disjoint"), [("kernel", True), ("set-attention", True), ("fourier", False)]
)
def test_contexts_that_look_at_cells_are_of_other_cells_than_those_that_flow(name, disjoint, shape):
    choice = Catalog("methods").choose("mfm", embedder=Catalog("embedders").choose(name))
    assert Catalog("methods").build(choice, shape).needs.context.disjoint is disjoint


@pytest.mark.parametrize("steps", [1, 3, 5, 7, 16])
def test_cells_on_their_way_end_where_the_prediction_takes_them(method, shape, pairs, steps):
    torch.nn.init.normal_(method.field.out.weight, std=0.3)
    source, method.solver = pairs[0].source, SolverConfig(steps=steps)
    conditioning = conditioned(method.eval(), source)
    with torch.no_grad():
        way = method.transport(source.cells, conditioning, (0.0, 0.25, 0.5, 0.75, 1.0)).cells
        end = method.transport(source.cells, conditioning).end
    assert torch.equal(way[-1], end)
    assert torch.allclose(way[0], source.cells, atol=1e-5)
    moved = [float((cells - source.cells).norm()) for cells in way]
    assert min(moved[1:]) > 0
