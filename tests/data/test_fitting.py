import dataclasses

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.data.fitting import fit_features, training_cells
from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.features.pca import PCAConfig


def pca_spec(spec, k=5, expression="counts"):
    return dataclasses.replace(spec, features=f"pca:{k}", expression=expression)


def log_counts(adata):
    x = adata.X.toarray().astype(np.float64)
    return np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))


@pytest.fixture
def rows(counts):
    return np.flatnonzero(counts.obs["patient"] != "P4")


def test_a_constant_feature_has_scale_one(cohort, spec):
    cohort.X[:, 2] = 3
    assert fit_features(cohort, spec, np.arange(50)).scale[2] == 1


def test_only_training_rows_are_looked_at(counts, spec, rows):
    before = fit_features(counts, pca_spec(spec), rows)
    changed = counts.copy()
    dense = changed.X.toarray()
    dense[changed.obs["patient"] == "P4"] = 1000
    changed.X = sp.csr_matrix(dense)
    after = fit_features(changed, pca_spec(spec), rows)
    for name, value in before.arrays().items():
        np.testing.assert_array_equal(value, after.arrays()[name])


def test_pca_agrees_with_the_singular_vectors(counts, spec, rows):
    transform = fit_features(counts, pca_spec(spec), rows)
    x = log_counts(counts)
    mean = x[rows].mean(axis=0)
    _, _, vt = np.linalg.svd(x[rows] - mean, full_matrices=False)
    axes = vt[:5].T * np.sign(vt[:5].T[np.abs(vt[:5].T).argmax(axis=0), np.arange(5)])
    np.testing.assert_allclose(transform.space.components, axes, atol=1e-5)  # cells enter as float32
    np.testing.assert_allclose(transform.apply(counts), (x - mean) @ axes, atol=1e-4)
    np.testing.assert_allclose(transform.scale, 1)
    assert transform.names == ("PC1", "PC2", "PC3", "PC4", "PC5")


def test_dense_and_sparse_counts_agree(counts, spec, rows):
    dense = counts.copy()
    dense.X = counts.X.toarray()
    one, other = (fit_features(a, pca_spec(spec), rows) for a in (counts, dense))
    np.testing.assert_allclose(one.space.components, other.space.components, atol=1e-9)
    np.testing.assert_array_equal(one.expression(counts), other.expression(dense))


def test_counts_need_all_genes_and_the_space_the_most_variable_ones(counts, spec, rows):
    spec = pca_spec(spec)
    cells = training_cells(counts, spec, rows)
    assert cells.genes == tuple(counts.var_names)
    assert cells.is_log1p
    np.testing.assert_allclose(sum(block.sum() for block in cells.blocks()), log_counts(counts)[rows].sum())
    transform = fit_features(counts, spec, rows)
    few = PCAConfig(n_components=5, n_top_genes=20).fit(cells)
    assert len(few.genes) == 20
    fewer = dataclasses.replace(transform, space=few)
    assert fewer.input_genes == transform.genes == tuple(counts.var_names)
    everything = PCAConfig(n_components=5, n_top_genes=20).fit(
        training_cells(counts, spec, np.arange(counts.n_obs))
    )
    assert everything.genes != few.genes


def test_the_same_fit_twice(counts, spec, rows):
    one, other = (fit_features(counts, pca_spec(spec), rows) for _ in range(2))
    np.testing.assert_array_equal(one.space.components, other.space.components)


def test_counts_must_be_counts(counts, spec, rows):
    halves = counts.copy()
    halves.X = counts.X * 0.5
    with pytest.raises(DataError, match=r"Expected counts.*--expression"):
        fit_features(halves, pca_spec(spec), rows)
    transform = fit_features(counts, pca_spec(spec), rows)
    with pytest.raises(DataError, match="Expected counts"):
        transform.apply(halves)
    negative = counts.copy()
    negative.X = counts.X.toarray() - 1
    with pytest.raises(DataError, match="lowest -1"):
        fit_features(negative, pca_spec(spec), rows)


def test_log1p_must_not_be_counts(counts, spec, rows):
    with pytest.raises(DataError, match=r"all whole.*--expression counts"):
        fit_features(counts, pca_spec(spec, 5, "log1p"), rows)


def test_scaled_values_are_not_log1p(cohort, spec):
    with pytest.raises(DataError, match=r"--expression as-is"):
        fit_features(cohort, pca_spec(spec, 3, "log1p"), np.arange(100))


@pytest.mark.parametrize(("k", "n_rows"), [(60, 240), (30, 30), (100, 240)])
def test_too_many_components(counts, spec, k, n_rows):
    with pytest.raises(
        ConfigError, match=rf"training cells \({n_rows}\).*genes \(60\), found {k}.*--features"
    ):
        fit_features(counts, pca_spec(spec, k), np.arange(n_rows))


def test_too_many_columns_without_pca(spec):
    wide = anndata.AnnData(np.zeros((5, 201), dtype=np.float32))
    with pytest.raises(DataError, match=r"at most 200 features in 'X', found 201.*--features pca:50"):
        fit_features(wide, spec, np.arange(5))
    assert fit_features(wide[:, :200].copy(), spec, np.arange(5)).n_features == 200


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_duplicate_names(cohort, spec):
    cohort.var_names = ["CD3", "CD3", *cohort.var_names[2:]]
    with pytest.raises(DataError, match=r"'CD3'.*var_names_make_unique"):
        fit_features(cohort, spec, np.arange(50))
