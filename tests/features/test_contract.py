"""What every feature space of the catalog keeps to."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.catalog import Catalog
from cellflow_cli.features import FeatureSpace, SpaceEntry, TrainingCells, from_parts, to_parts

NAMES = Catalog("features").names()
GENES = tuple(f"gene{i}" for i in range(12))
N = 90


def load(name) -> SpaceEntry:
    return Catalog("features").load(name)


def config(name):
    """As `--features` asks for it: 3 in the place of the setting, if the space has one."""
    return load(name).parse("3" if load(name).usage else "")


def draw(seed=0, n=N) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.log1p(rng.poisson(rng.gamma(0.8, 3.0, len(GENES)), (n, len(GENES)))).astype(np.float32)


def cells(x, kind=np.asarray, size=25) -> TrainingCells:
    def blocks():
        return (kind(x[start : start + size]) for start in range(0, len(x), size))

    return TrainingCells(genes=GENES, n_cells=len(x), is_log1p=True, blocks=blocks)


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture
def space(name) -> FeatureSpace:
    return config(name).fit(cells(draw()), 0)


def test_the_ones_we_promise_are_there():
    assert {"values", "pca"} <= set(NAMES)


def test_entry_is_complete(name):
    entry = load(name)
    assert dataclasses.is_dataclass(entry.space)
    assert entry.usage.startswith(f"{name}:") or not entry.usage
    assert entry.max_genes is None or entry.max_genes > 0


def test_what_the_option_does_not_take_is_refused(name):
    with pytest.raises(ValueError, match="."):
        load(name).parse("?")


def test_a_fitted_space_says_what_it_is(name, space):
    g, d = len(space.genes), len(space.names)
    assert isinstance(space, load(name).space)
    assert d == config(name).n_features(len(GENES))
    assert set(space.genes) <= set(GENES)
    assert len(set(space.names)) == d
    assert space.mean.shape == (g,)
    assert space.mean.dtype == np.float64
    assert space.scale is None or (space.scale.shape == (d,) and (space.scale > 0).all())
    assert all(len(value) == g and value.dtype == np.float32 for value in space.varm().values())
    assert not config(name).fault(N, len(GENES))


def test_features_and_expression_have_their_shapes(space):
    x = draw()[:, : len(space.genes)]
    z = space.encode(x)
    decoded = space.decode(z)
    assert z.shape == (N, len(space.names))
    assert decoded.expression.shape == x.shape
    assert z.dtype == decoded.expression.dtype == np.float32
    assert np.isfinite(z).all()
    assert isinstance(decoded.n_clipped, int)


def test_a_space_that_loses_nothing_returns_the_cells(space):
    x = draw()[:, : len(space.genes)]
    is_same = np.array_equal(space.decode(space.encode(x)).expression, x)
    assert is_same is not space.is_lossy
    assert (space.obsm_key is None) == np.array_equal(space.encode(x), x)


def test_each_cell_is_mapped_by_itself(space):
    x = draw()[:, : len(space.genes)]
    order = np.random.default_rng(1).permutation(N)[:20]
    z = space.encode(x)
    np.testing.assert_allclose(space.encode(x[order]), z[order], rtol=1e-5, atol=1e-5)
    whole, part = space.decode(z).expression, space.decode(z[order]).expression
    np.testing.assert_allclose(part, whole[order], rtol=1e-5, atol=1e-5)


def test_a_fit_repeats_bit_for_bit(name, space):
    again = config(name).fit(cells(draw()), 0)
    for part, value in to_parts(space)[1].items():
        np.testing.assert_array_equal(value, to_parts(again)[1][part])


def test_a_fit_depends_neither_on_blocks_nor_on_sparsity(name, space):
    x = draw()[:, : len(space.genes)]
    for other in (cells(draw(), size=N), cells(draw(), sp.csr_matrix)):
        np.testing.assert_allclose(config(name).fit(other, 0).encode(x), space.encode(x), atol=1e-5)


def test_inputs_stay_as_they_are(name):
    x = draw()
    space = config(name).fit(cells(x, size=N), 0)
    chosen = x[:, : len(space.genes)].copy()
    z = space.encode(chosen)
    space.decode(z)
    np.testing.assert_array_equal(x, draw())
    np.testing.assert_array_equal(chosen, draw()[:, : len(space.genes)])


def test_a_stored_space_is_the_same(name, space):
    plain, arrays = to_parts(space)
    again = from_parts(load(name).space, json.loads(json.dumps(plain)), arrays)
    x = draw()[:, : len(space.genes)]
    assert (again.names, again.genes) == (space.names, space.genes)
    np.testing.assert_array_equal(again.encode(x), space.encode(x))
    z = space.encode(x)
    np.testing.assert_array_equal(again.decode(z).expression, space.decode(z).expression)
    assert to_parts(again)[0] == plain


def test_a_stored_space_that_lacks_a_part_or_a_row(name, space):
    plain, arrays = to_parts(space)
    for part, value in arrays.items():
        with pytest.raises(ValueError, match=part):
            from_parts(load(name).space, plain, {k: v for k, v in arrays.items() if k != part})
        with pytest.raises(ValueError, match=rf"`{part}` of the shape"):
            from_parts(load(name).space, plain, {**arrays, part: value[1:]})
