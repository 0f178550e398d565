import dataclasses
import json

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.data.fitting import fit_features, training_cells
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import BundleError, ConfigError, DataError
from cellflow_cli.features.pca import PCAConfig
from cellflow_cli.plain import PlainError


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


def test_rows_keep_the_given_order(cohort, spec):
    transform = fit_features(cohort, spec, np.arange(50))
    np.testing.assert_array_equal(transform.apply(cohort, np.array([7, 3])), cohort.X[[7, 3]])


def test_layers_and_obsm(cohort, spec):
    cohort.layers["raw"] = sp.csr_matrix(cohort.X * 2)
    cohort.obsm["X_scvi"] = cohort.X[:, :3] + 1
    for features, expected in (("layers/raw", cohort.X * 2), ("obsm/X_scvi", cohort.X[:, :3] + 1)):
        transform = fit_features(cohort, dataclasses.replace(spec, features=features), np.arange(50))
        np.testing.assert_array_equal(transform.apply(cohort), expected)
    assert transform.names == ("X_scvi_1", "X_scvi_2", "X_scvi_3")


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
    expected = low @ transform.space.components.T + transform.mean
    assert n_clipped == (expected < 0).sum() > 0
    np.testing.assert_allclose(decoded, np.maximum(expected, 0), rtol=1e-5, atol=1e-5)


def test_values_as_is_are_not_clipped(cohort, spec):
    transform = fit_features(cohort, pca_spec(spec, 3, "as-is"), np.arange(200))
    decoded, n_clipped = transform.invert(transform.apply(cohort))
    assert n_clipped == 0
    assert decoded.min() < 0


def test_log1p_input_is_not_normalised_again(counts, spec, rows):
    logged = counts.copy()
    logged.X = sp.csr_matrix(log_counts(counts).astype(np.float32))
    transform = fit_features(logged, pca_spec(spec, 5, "log1p"), rows)
    np.testing.assert_array_equal(transform.expression(logged), logged.X.toarray())
    assert transform.input_genes == transform.genes


@pytest.mark.parametrize("features", ["X", "pca:5"])
def test_genes_in_another_order_with_extra_ones_give_the_same_bits(counts, spec, rows, features):
    expression = "counts" if features == "pca:5" else None
    spec = dataclasses.replace(spec, features=features, expression=expression)
    transform = fit_features(counts, spec, rows)
    if transform.is_lossy:
        few = PCAConfig(n_components=5, n_top_genes=30).fit(training_cells(counts, spec, rows))
        transform = dataclasses.replace(transform, space=few)
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
    with pytest.raises(BundleError, match="the model has for example"):
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
    with pytest.raises(PlainError, match="Expected `mean`"):
        FeatureTransform.from_parts(transform.to_json(), {k: v for k, v in arrays.items() if k != "mean"})
    with pytest.raises(PlainError, match=r"`scale`.*\(6,\), found \(5,\)"):
        FeatureTransform.from_parts(transform.to_json(), {**arrays, "scale": arrays["scale"][1:]})
    plain = transform.to_json()
    with pytest.raises(PlainError, match=r"`shares` of the shape \(0,\), found \(2,\)"):
        FeatureTransform.from_parts(plain, {**arrays, "shares": np.ones(2)})
    with pytest.raises(PlainError, match="'space'.* and no other"):
        FeatureTransform.from_parts({k: v for k, v in plain.items() if k != "space"}, arrays)
    with pytest.raises(ConfigError, match="found 'nmf:3'"):
        FeatureTransform.from_parts({**plain, "features": "nmf:3"}, arrays)


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


def test_the_transform_is_that_of_its_space(cohort, spec):
    plain, reduced = (fit_features(cohort, s, np.arange(100)) for s in (spec, pca_spec(spec, 3, "as-is")))
    assert (plain.obsm_key, plain.is_lossy, plain.has_scale, plain.varm()) == (None, False, True, {})
    assert (reduced.obsm_key, reduced.is_lossy, reduced.has_scale) == ("X_pca", True, False)
    assert reduced.varm()["PCs"].shape == (6, 3)
    np.testing.assert_array_equal(reduced.scale, np.ones(3))
    assert reduced.genes == plain.genes == tuple(cohort.var_names)
    assert reduced.n_features == 3


@pytest.mark.parametrize(
    ("expression", "unit"),
    [("log1p", "log1p expression"), ("as-is", "units of the data"), (None, "units of the data")],
)
def test_the_unit_is_that_of_the_expression(cohort, spec, expression, unit):
    spec = dataclasses.replace(spec, expression=expression)
    assert fit_features(cohort, spec, np.arange(100)).unit == unit
