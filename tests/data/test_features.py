import dataclasses
import json

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import BundleError, ConfigError, DataError


def pca_spec(spec, k=5, expression="counts"):
    return dataclasses.replace(spec, features=f"pca:{k}", expression=expression)


def log_counts(adata):
    x = adata.X.toarray().astype(np.float64)
    return np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))


@pytest.fixture
def rows(counts):
    return np.flatnonzero(counts.obs["patient"] != "P4")


def shuffled(adata, seed=0):
    return adata[:, np.random.default_rng(seed).permutation(adata.n_vars)].copy()


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_values_pass_bit_for_bit(cohort, spec, kind):
    expected = cohort.X.copy()
    cohort.X = kind(cohort.X)
    transform = fit_features(cohort, spec, np.arange(100))
    for found in (transform.apply(cohort), transform.expression(cohort), transform.invert(expected)[0]):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(transform.scale, expected[:100].astype(float).std(axis=0), rtol=1e-6)
    assert transform.names == transform.genes == tuple(cohort.var_names)


def test_rows_are_picked_in_the_order_asked_for(cohort, spec):
    transform = fit_features(cohort, spec, np.arange(50))
    np.testing.assert_array_equal(transform.apply(cohort, np.array([7, 3])), cohort.X[[7, 3]])


def test_layers_and_obsm(cohort, spec):
    cohort.layers["raw"] = sp.csr_matrix(cohort.X * 2)
    cohort.obsm["X_scvi"] = cohort.X[:, :3] + 1
    for features, expected in (("layers/raw", cohort.X * 2), ("obsm/X_scvi", cohort.X[:, :3] + 1)):
        transform = fit_features(cohort, dataclasses.replace(spec, features=features), np.arange(50))
        np.testing.assert_array_equal(transform.apply(cohort), expected)
    assert transform.names == ("X_scvi_1", "X_scvi_2", "X_scvi_3")


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
    np.testing.assert_allclose(transform.components, axes, atol=1e-5)  # cells enter as float32
    np.testing.assert_allclose(transform.apply(counts), (x - mean) @ axes, atol=1e-4)
    np.testing.assert_allclose(transform.scale, 1)
    assert transform.names == ("PC1", "PC2", "PC3", "PC4", "PC5")


def test_dense_and_sparse_counts_agree(counts, spec, rows):
    dense = counts.copy()
    dense.X = counts.X.toarray()
    one, other = (fit_features(a, pca_spec(spec), rows) for a in (counts, dense))
    np.testing.assert_allclose(one.components, other.components, atol=1e-9)
    np.testing.assert_array_equal(one.expression(counts), other.expression(dense))


def test_expression_of_counts_is_log1p_of_ten_thousand(counts, spec, rows):
    transform = fit_features(counts, pca_spec(spec), rows)
    found = transform.expression(counts)
    np.testing.assert_allclose(found, log_counts(counts), rtol=1e-6)
    assert transform.genes == tuple(counts.var_names)


def test_decoding_all_components_but_one_returns_the_cells(counts, spec, rows):
    k = counts.n_vars - 1
    transform = fit_features(counts, pca_spec(spec, k), rows)
    decoded, _ = transform.invert(transform.apply(counts, rows))
    lost = ((decoded - log_counts(counts)[rows]) ** 2).mean() / log_counts(counts)[rows].var()
    assert lost < 1e-3


def test_decoding_clips_at_zero_and_counts_it(counts, spec, rows):
    transform = fit_features(counts, pca_spec(spec, 3), rows)
    low = np.full((4, 3), -50, dtype=np.float32)
    decoded, n_clipped = transform.invert(low)
    expected = low @ transform.components.T + transform.mean
    assert n_clipped == (expected < 0).sum() > 0
    np.testing.assert_allclose(decoded, np.maximum(expected, 0), rtol=1e-5, atol=1e-5)


def test_values_as_is_are_not_clipped(cohort, spec):
    transform = fit_features(cohort, pca_spec(spec, 3, "as-is"), np.arange(200))
    decoded, n_clipped = transform.invert(transform.apply(cohort))
    assert n_clipped == 0
    assert decoded.min() < 0


def test_the_most_variable_genes_are_those_of_the_training_rows(counts, spec, rows):
    import scanpy as sc

    found = fit_features(counts, pca_spec(spec), rows, n_top_genes=20)
    logged = anndata.AnnData(log_counts(counts)[rows].astype(np.float32))
    table = sc.pp.highly_variable_genes(logged, flavor="seurat", n_top_genes=20, inplace=False)
    assert found.genes == tuple(counts.var_names[table["highly_variable"].to_numpy()])
    assert found.input_genes == tuple(counts.var_names)
    everything = fit_features(counts, pca_spec(spec), np.arange(counts.n_obs), n_top_genes=20)
    assert everything.genes != found.genes


def test_log1p_input_is_not_normalised_again(counts, spec, rows):
    logged = counts.copy()
    logged.X = sp.csr_matrix(log_counts(counts).astype(np.float32))
    transform = fit_features(logged, pca_spec(spec, 5, "log1p"), rows)
    np.testing.assert_array_equal(transform.expression(logged), logged.X.toarray())
    assert transform.input_genes == transform.genes


def test_as_is_keeps_the_genes_of_largest_variance(counts, spec, rows):
    dense = counts.copy()
    dense.X = np.random.default_rng(0).normal(size=counts.shape) * np.arange(1, counts.n_vars + 1)
    transform = fit_features(dense, pca_spec(spec, 5, "as-is"), rows, n_top_genes=20)
    largest = np.argsort(-dense.X[rows].var(axis=0))[:20]
    assert set(transform.genes) == set(dense.var_names[largest])


@pytest.mark.parametrize("features", ["X", "pca:5"])
def test_genes_in_another_order_with_extra_ones_give_the_same_bits(counts, spec, rows, features):
    expression = "counts" if features == "pca:5" else None
    spec = dataclasses.replace(spec, features=features, expression=expression)
    transform = fit_features(counts, spec, rows, n_top_genes=30)
    extra = anndata.AnnData(
        sp.csr_matrix(np.full((counts.n_obs, 2), 7, dtype=np.float32)), obs=counts.obs[[]].copy()
    )
    extra.var_names = ["extra1", "extra2"]
    wider = anndata.concat([extra, shuffled(counts)], axis=1)
    np.testing.assert_array_equal(transform.apply(wider), transform.apply(counts))
    np.testing.assert_array_equal(transform.expression(wider), transform.expression(counts))
    cover = transform.coverage(wider.var_names)
    assert (cover.fraction, cover.missing, cover.n_extra) == (1.0, (), 2)


def test_blocks_of_any_size_give_the_same_cells(counts, spec, rows, monkeypatch):
    transform = fit_features(counts, pca_spec(spec), rows)
    whole = transform.apply(counts)
    monkeypatch.setattr("cellflow_cli.data.blocks.ROWS_PER_BLOCK", 7)
    np.testing.assert_allclose(transform.apply(counts), whole, rtol=1e-6, atol=1e-6)  # one float32 rounding


def test_missing_genes_are_refused(counts, spec, rows):
    transform = fit_features(counts, pca_spec(spec), rows)
    fewer = counts[:, 6:].copy()
    message = r"all 60 features.*found 54; missing are 'marker0', .* and 1 more.*--min-feature-coverage 0\.9"
    with pytest.raises(BundleError, match=message):
        transform.apply(fewer)
    with pytest.raises(BundleError, match="min-feature-coverage"):
        transform.apply(fewer, min_coverage=0.95)


def test_missing_genes_take_their_mean_where_allowed(counts, spec, rows):
    transform = fit_features(counts, pca_spec(spec), rows)
    order = np.argsort(-transform.shares)
    lost, kept = order[:6], np.sort(order[6:])
    found = transform.expression(counts[:, kept].copy(), min_coverage=0.9)
    mean = np.tile(transform.mean[lost], (counts.n_obs, 1))
    np.testing.assert_allclose(found[:, lost], mean, rtol=1e-6)
    drift = (found - transform.expression(counts))[:, kept].mean()
    assert transform.shares[lost].sum() > 0.2
    assert abs(drift) < 0.05  # log1p units; normalising to the genes that are left would give above 0.15


def test_no_gene_in_common(cohort, spec):
    transform = fit_features(cohort, spec, np.arange(50))
    other = cohort.copy()
    other.var_names = [f"ENSG{i}" for i in range(other.n_vars)]
    with pytest.raises(BundleError, match="symbols or identifiers"):
        transform.apply(other, min_coverage=0.0)


@pytest.mark.parametrize("features", ["X", "pca:4"])
def test_a_stored_transform_is_the_same(cohort, spec, features):
    spec = dataclasses.replace(spec, features=features, expression="as-is")
    transform = fit_features(cohort, spec, np.arange(100))
    again = FeatureTransform.from_parts(json.loads(json.dumps(transform.to_json())), transform.arrays())
    np.testing.assert_array_equal(again.apply(cohort), transform.apply(cohort))
    cells = transform.apply(cohort)
    np.testing.assert_array_equal(again.invert(cells)[0], transform.invert(cells)[0])
    assert again.to_json() == transform.to_json()


def test_a_stored_transform_that_lacks_a_part(cohort, spec):
    transform = fit_features(cohort, spec, np.arange(100))
    arrays = transform.arrays()
    with pytest.raises(BundleError, match="to have 'mean'"):
        FeatureTransform.from_parts(transform.to_json(), {k: v for k, v in arrays.items() if k != "mean"})
    with pytest.raises(BundleError, match=r"`scale`.*\(6,\), found \(5,\)"):
        FeatureTransform.from_parts(transform.to_json(), {**arrays, "scale": arrays["scale"][1:]})


def test_the_same_fit_twice(counts, spec, rows):
    one, other = (fit_features(counts, pca_spec(spec), rows) for _ in range(2))
    np.testing.assert_array_equal(one.components, other.components)


def test_inputs_are_not_modified(counts, spec, rows):
    before = counts.copy()
    transform = fit_features(counts, pca_spec(spec), rows)
    transform.expression(counts)[:] = -1
    assert (counts.X != before.X).nnz == 0
    dense = counts.copy()
    dense.X = counts.X.toarray()
    fit_features(dense, DataSpec(treatment_key="t", control="c", sample_key="s"), rows).apply(dense)[:] = -1
    np.testing.assert_array_equal(dense.X, before.X.toarray())


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(cohort, spec, kind, bad, monkeypatch):
    monkeypatch.setattr("cellflow_cli.data.blocks.ROWS_PER_BLOCK", 16)  # the two are in different blocks
    transform = fit_features(cohort, spec, np.arange(50))
    cohort.X[[31, 200], [4, 2]] = bad
    cohort.X = kind(cohort.X)
    message = r"found 2 that are NaN or infinite, the first in cell 'cell31', feature 'marker4'"
    with pytest.raises(DataError, match=message):
        fit_features(cohort, spec, np.arange(cohort.n_obs))
    with pytest.raises(DataError, match=message):
        transform.apply(cohort)


def test_what_is_not_used_may_be_anything(cohort, spec):
    transform = fit_features(cohort[:, :4].copy(), spec, np.arange(50))
    cohort.X[5, 5] = np.nan
    np.testing.assert_array_equal(transform.apply(cohort), cohort.X[:, :4])


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
    with pytest.raises(DataError, match=r"all whole numbers.*--expression counts"):
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


def test_cells_without_counts_stay_at_zero(counts, spec, rows):
    dense = counts.X.toarray()
    dense[rows[0]] = 0
    counts.X = sp.csr_matrix(dense)
    transform = fit_features(counts, pca_spec(spec), rows)
    assert not transform.expression(counts, rows[:1]).any()
    assert np.isfinite(transform.arrays()["shares"]).all()


def test_an_object_opened_from_disk(counts, spec, rows, saved):
    path = saved(counts)
    transform = fit_features(counts, pca_spec(spec), rows)
    backed = anndata.read_h5ad(path, backed="r")
    np.testing.assert_array_equal(transform.apply(backed), transform.apply(counts))
    backed.file.close()
