"""What every embedder keeps to."""

from dataclasses import replace

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.embedders import cover, draw
from cellflow_cli.rng import scoped, stream

ROOM = Catalog("embedders")


FIXED = {"kernel", "label"}  # nothing to learn, and nothing read but the cells or the label
TOLD = {
    "fourier, not asked": ("fourier", {"pointwise": False}),
    "knn-graph, pooled as it is": ("knn-graph", {"embedding": 0}),
    "mean, pooled as it is": ("mean", {"embedding": 0}),
}
ALL = {**{name: (name, {}) for name in ROOM.names()}, **TOLD}


def builder(name):
    room_name, settings = ALL[name]
    entry = ROOM.load(room_name)

    def built(shape, seed=0):
        with scoped(stream(seed, "init")):
            return entry.build(entry.config(**settings), shape).eval()

    return built


@pytest.fixture(params=ALL)
def build(request):
    return builder(request.param)


@pytest.fixture(params=sorted(set(ALL) - FIXED))
def build_learned(request):
    return builder(request.param)


@pytest.fixture(params=sorted(set(ALL) - {"label"}))
def build_of_cells(request):
    return builder(request.param)


@pytest.mark.parametrize("name", sorted(FIXED))
def test_fixed_embedders_learn_nothing(name, shape):
    assert not list(builder(name)(shape).parameters())


def as_dtype(batch, precision):
    return batch._replace(cells=batch.cells.to(precision), node_features=batch.node_features.to(precision))


def queried(embedder, batch, rng, precision=torch.float32):
    b, _, d = batch.cells.shape
    context = embedder(batch)
    return context.query(
        torch.randn(b, 5, d, generator=rng).to(precision), torch.rand(b, 5, generator=rng).to(precision)
    )


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_shape_and_dtype(build, shape, make_population, rng, precision):
    embedder = build(shape).to(precision)
    batch = as_dtype(draw([make_population(40), make_population(300)], 256, [0, -1], rng), precision)
    context = queried(embedder, batch, rng, precision)
    assert context.shape in {(2, 5, embedder.width), (2, 1, embedder.width)}
    assert context.dtype == precision
    assert context.isfinite().all()


@pytest.mark.parametrize("name", TOLD)
def test_what_is_merely_told_is_the_same_at_all_points(name, shape, make_population, rng):
    context = queried(builder(name)(shape), draw([make_population(40)], 256, [-1], rng), rng)
    assert context.shape[1] == 1


def test_gradients_reach_every_parameter_and_no_padding(build_learned, shape, make_population, rng):
    embedder = build_learned(shape).train()
    batch = draw([make_population(40), make_population(300)], 256, [0, 1], rng)
    batch.cells.requires_grad_()
    context = queried(embedder, batch, rng)
    (context * torch.randn(context.shape, generator=rng)).sum().backward()
    for name, parameter in embedder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert batch.cells.grad[batch.mask].abs().sum() > 0
    assert batch.cells.grad[~batch.mask].abs().sum() == 0


def test_blind_to_the_order_of_cells(build, shape, make_population, rng):
    embedder = build(shape).double()
    batch = as_dtype(draw([make_population(60), make_population(80)], 80, [0, 0], rng), torch.float64)
    order = torch.randperm(80, generator=rng)  # the padding of the first moves too
    shuffled = batch._replace(
        cells=batch.cells[:, order], mask=batch.mask[:, order], node_features=batch.node_features[:, order]
    )
    x, t = torch.randn(2, 5, 3, generator=rng).double(), torch.rand(2, 5, generator=rng).double()
    assert torch.allclose(embedder(batch).query(x, t), embedder(shuffled).query(x, t), atol=1e-10)


def test_blind_to_padding(build, shape, make_population, rng):
    """Neither the number of padded rows nor what stands in them matters."""
    embedder = build(shape).double()
    tight = as_dtype(draw([make_population(60)], 60, [0], rng), torch.float64)
    junk = torch.full((1, 30, 3), 0.1).double()  # among the cells, where it would be heard
    loose = tight._replace(
        cells=torch.cat([tight.cells, junk], dim=1),
        mask=torch.cat([tight.mask, torch.zeros(1, 30, dtype=torch.bool)], dim=1),
        node_features=torch.cat([tight.node_features, junk[..., :2]], dim=1),
    )
    x, t = torch.randn(1, 5, 3, generator=rng).double(), torch.rand(1, 5, generator=rng).double()
    assert torch.allclose(embedder(tight).query(x, t), embedder(loose).query(x, t), atol=1e-10)


def test_populations_do_not_hear_one_another(build, shape, make_population, rng):
    embedder = build(shape).double()
    batch = as_dtype(
        draw([make_population(60), make_population(50, shift=2.0)], 60, [0, 1], rng), torch.float64
    )
    alone = type(batch)(*(part[:1] for part in batch))
    x, t = torch.randn(2, 5, 3, generator=rng).double(), torch.rand(2, 5, generator=rng).double()
    both = embedder(batch).query(x, t)
    assert torch.allclose(both[:1], embedder(alone).query(x[:1], t[:1]), atol=1e-10)


def test_different_populations_have_different_contexts(build_of_cells, shape, make_population, rng):
    embedder = build_of_cells(shape)
    x, t = torch.zeros(1, 1, 3), torch.zeros(1, 1)
    first, second = (
        embedder(draw([make_population(200, shift=s)], 200, [-1], stream(0))).query(x, t) for s in (0.0, 1.0)
    )
    assert (first - second).norm() > 0.05


def test_node_features_are_heard(build_learned, shape, make_population, rng):
    embedder = build_learned(shape)
    population = make_population(100)
    swapped = replace(population, node_features=population.node_features.flip(-1) * 0.5)
    x, t = torch.zeros(1, 1, 3), torch.zeros(1, 1)
    first, second = (embedder(draw([p], 100, [-1], stream(0))).query(x, t) for p in (population, swapped))
    assert (first - second).norm() > 1e-3


def test_no_node_features_at_all(build, shape, make_population, rng):
    embedder = build(replace(shape, n_node_features=0))
    population = replace(make_population(30), node_features=torch.zeros(30, 0))
    assert queried(embedder, draw([population], 40, [-1], rng), rng).isfinite().all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_few_cells(build, shape, make_population, rng, n):
    embedder = build(shape)
    assert queried(embedder, draw([make_population(n)], 256, [-1], rng), rng).isfinite().all()


def test_contexts_of_subsamples_merge_to_one(build, shape, make_population, rng):
    embedder = build(shape)
    blocks = cover(make_population(600), 256, -1, rng)
    merged = embedder(blocks).merged()
    assert len(blocks.cells) == 3
    found = merged.query(torch.zeros(1, 4, 3), torch.zeros(1, 4))
    assert found.shape in {(1, 4, embedder.width), (1, 1, embedder.width)}


def test_every_subsample_has_a_say_in_the_merged_context(build_of_cells, shape, make_population, rng):
    """Their order has none."""
    embedder = build_of_cells(shape).double()
    blocks = as_dtype(
        draw([make_population(90), make_population(90, shift=1.0)], 90, [0, 0], rng), torch.float64
    )
    x, t = torch.randn(1, 4, 3, generator=rng).double(), torch.rand(1, 4, generator=rng).double()
    merged = embedder(blocks).merged().query(x, t)
    swapped = embedder(type(blocks)(*(part.flip(0) for part in blocks))).merged().query(x, t)
    assert torch.allclose(merged, swapped, atol=1e-10)
    alone = embedder(type(blocks)(*(part[:1] for part in blocks))).merged().query(x, t)
    assert (merged - alone).abs().sum(dim=(0, 1)).gt(1e-6).sum() > merged.shape[-1] / 2


def test_save_and_load(build_learned, shape, make_population, rng):
    embedder, other = build_learned(shape, seed=0), build_learned(shape, seed=1)
    batch = draw([make_population(50)], 60, [0], rng)
    x, t = torch.zeros(1, 1, 3), torch.zeros(1, 1)
    assert not torch.equal(other(batch).query(x, t), embedder(batch).query(x, t))
    other.load_state_dict(embedder.state_dict())
    assert torch.equal(other(batch).query(x, t), embedder(batch).query(x, t))


def test_same_seed_same_weights(build, shape):
    first, again = build(shape, seed=4).state_dict(), build(shape, seed=4).state_dict()
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("name", sorted(set(ROOM.names()) - {"label"}))
def test_a_random_number_of_cells_is_seen_in_training(name, shape, make_population):
    entry = ROOM.load(name)
    with scoped(stream(0, "init")):
        embedder = entry.build(entry.config(reference_cells=300, min_cells=30), shape).train()
    batch = draw([make_population(300)], 300, [-1], stream(0))
    with scoped(stream(0, "dropout")):
        seen = [queried(embedder, batch, stream(1)) for _ in range(3)]
    assert not torch.equal(seen[0], seen[1]) or not torch.equal(seen[0], seen[2])
    embedder.eval()
    assert torch.equal(queried(embedder, batch, stream(1)), queried(embedder, batch, stream(1)))


@pytest.mark.parametrize("name", ["knn-graph", "mean"])
def test_pooled_contexts_see_all_cells_unless_told_otherwise(name, shape, make_population):
    entry = ROOM.load(name)
    embedder = entry.build(entry.config(reference_cells=300), shape).train()
    batch = draw([make_population(300)], 300, [-1], stream(0))
    assert torch.equal(queried(embedder, batch, stream(1)), queried(embedder, batch, stream(1)))
