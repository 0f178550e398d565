import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.errors import ConfigError
from cellflow_cli.features import TrainingCells
from cellflow_cli.features.pca import PCA, PCAConfig, parse


def cells(x, kind=np.asarray, is_log1p=False) -> TrainingCells:
    genes = tuple(f"gene{i}" for i in range(x.shape[1]))
    parts = np.array_split(np.asarray(x, dtype=np.float32), 3)
    return TrainingCells(
        genes=genes, n_cells=len(x), is_log1p=is_log1p, blocks=lambda: (kind(part) for part in parts)
    )


def cloud(n=200, spread=(5.0, 3.0, 1.0, 0.5, 0.2), seed=0):
    """Cells with known principal axes: columns of the rotation, by falling spread."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(len(spread), len(spread))))
    scores = rng.normal(size=(n, len(spread)))
    scores -= scores.mean(axis=0)
    scores = np.linalg.qr(scores)[0] * np.sqrt(n)  # exactly uncorrelated
    return scores * np.array(spread) @ rotation.T + 10, rotation


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_the_axes_are_those_of_the_planted_cloud(kind):
    x, rotation = cloud()
    space = PCAConfig(n_components=2).fit(cells(x, kind))
    np.testing.assert_allclose(space.mean, x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(np.abs(rotation[:, :2].T @ space.components), np.eye(2), atol=1e-5)
    largest = np.abs(space.components).argmax(axis=0)
    assert (space.components[largest, [0, 1]] > 0).all()
    np.testing.assert_allclose(space.encode(x.astype(np.float32)).std(axis=0), [5, 3], rtol=1e-4)
    assert space.names == ("PC1", "PC2")


def test_encoding_a_decoded_cell_returns_its_features():
    space = PCAConfig(n_components=3).fit(cells(cloud()[0]))
    z = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    np.testing.assert_allclose(space.encode(space.decode(z).expression), z, atol=1e-5)


def test_decoding_projects_onto_the_axes():
    x = cloud()[0].astype(np.float32)
    space = PCAConfig(n_components=2).fit(cells(x))
    lost = x - space.decode(space.encode(x)).expression
    np.testing.assert_allclose(lost @ space.components, 0, atol=1e-4)
    np.testing.assert_allclose((lost**2).sum(axis=1).mean(), 1 + 0.5**2 + 0.2**2, rtol=1e-3)


@pytest.mark.parametrize(("is_nonnegative", "expected", "n_clipped"), [(True, 0, 2), (False, -4, 0)])
def test_expression_below_zero_is_clipped_where_there_is_none(is_nonnegative, expected, n_clipped):
    space = PCA(
        names=("PC1",), genes=("a", "b"), is_nonnegative=is_nonnegative,
        mean=np.array([1.0, 1.0]), components=np.array([[1.0], [0.0]]),
    )  # fmt: skip
    decoded = space.decode(np.array([[-5.0], [2.0], [-5.0]], dtype=np.float32))
    np.testing.assert_array_equal(decoded.expression, [[expected, 1], [3, 1], [expected, 1]])
    assert decoded.n_clipped == n_clipped


@pytest.mark.parametrize("is_log1p", [True, False])
def test_log1p_expression_is_not_below_zero(is_log1p):
    space = PCAConfig(n_components=2).fit(cells(np.abs(cloud()[0]), is_log1p=is_log1p))
    assert space.is_nonnegative is is_log1p


def test_varm_keeps_the_axes_as_scanpy_names_them():
    space = PCAConfig(n_components=2).fit(cells(cloud()[0]))
    (name, axes), *others = space.varm().items()
    assert (name, axes.dtype, others) == ("PCs", np.float32, [])
    np.testing.assert_allclose(axes, space.components, rtol=1e-6)


def test_only_the_most_variable_genes_are_used():
    x = np.random.default_rng(0).normal(size=(50, 6)) * [1, 9, 2, 8, 3, 7]
    space = PCAConfig(n_components=2, n_top_genes=3).fit(cells(x))
    assert space.genes == ("gene1", "gene3", "gene5")
    assert space.components.shape == (3, 2)


@pytest.mark.parametrize(("k", "n_top_genes"), [(6, 6), (9, 6), (3, 3)])
def test_too_many_components(k, n_top_genes):
    x = np.random.default_rng(0).normal(size=(50, 6))
    message = rf"training cells \(50\).*genes \({n_top_genes}\), found {k}\. Lower it with `--features pca:K`"
    with pytest.raises(ConfigError, match=message):
        PCAConfig(n_components=k, n_top_genes=n_top_genes).fit(cells(x))
    assert PCAConfig(n_components=2).fault(2, 6)
    assert not PCAConfig(n_components=2).fault(3, 6)


def test_the_setting_is_a_number_of_components():
    assert parse("30") == PCAConfig(n_components=30)
    for text in ("", "0", "-3", "3.5", "x"):
        with pytest.raises(ValueError, match="whole number K"):
            parse(text)
