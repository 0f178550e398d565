"""Values of a layer or of raw, a choice of features, and what the values are."""

import dataclasses

import anndata
import numpy as np
import pytest

from cellflow_cli.data.blocks import Block, tally
from cellflow_cli.data.choice import Choice, no_markers
from cellflow_cli.data.expression import evidence, looks_like
from cellflow_cli.data.feature_source import in_layer, parse_features, with_layer
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.moving import moved
from cellflow_cli.data.names import name_difference
from cellflow_cli.data.read import feature_names, read
from cellflow_cli.data.validation.check import check
from cellflow_cli.errors import BundleError, ConfigError, DataError


@pytest.fixture
def layered(counts):
    """X log-normalised, the counts in a layer and in raw."""
    adata = counts.copy()
    adata.layers["counts"] = counts.X.copy()
    adata.raw = counts.copy()
    x = counts.X.toarray()
    adata.X = np.log1p(1e4 * x / np.maximum(x.sum(axis=1, keepdims=True), 1))
    return adata


def pca(spec, **settings):
    return dataclasses.replace(spec, features="pca:3", expression="counts", **settings)


@pytest.mark.parametrize("layer", ["counts", "raw"])
def test_components_of_a_layer_are_those_of_the_same_counts_in_x(layered, counts, spec, layer, saved):
    rows = np.arange(counts.n_obs)
    expected = fit_features(counts, pca(spec), rows).apply(counts)
    of_layer = pca(spec, layer=layer)
    transform = fit_features(layered, of_layer, rows)
    np.testing.assert_array_equal(transform.apply(layered), expected)
    stored = read([saved(layered, "a.h5ad")], of_layer.features)
    np.testing.assert_array_equal(transform.apply(stored), expected)
    np.testing.assert_array_equal(transform.apply(moved(counts, of_layer.features, "X")), expected)


def test_raw_of_two_files_is_joined(layered, saved):
    first, second = layered[:100].copy(), layered[100:].copy()
    both = read([saved(first, "a.h5ad"), saved(second, "b.h5ad")], "pca:3 of raw")
    np.testing.assert_array_equal(both.raw.X.toarray(), layered.raw.X.toarray())


def test_a_layer_called_raw_is_named_with_its_slot():
    assert with_layer("X", "raw") == "raw"
    assert with_layer("X", "layers/raw") == "layers/raw"
    assert parse_features("layers/raw").matrix.layer == "layers/raw"
    assert in_layer("pca:3 of layers/counts", "X") == "pca:3"


@pytest.mark.parametrize(("features", "layer"), [("obsm/X_pca", "counts"), ("layers/a", "b"), ("X", "")])
def test_contradictory_matrices_are_refused(features, layer):
    with pytest.raises(ConfigError, match="--layer"):
        with_layer(features, layer)


@pytest.mark.parametrize(
    "text", ["pca:100000000", "pca:0", "pca:1e3", "pca:\uff15", "pca:3 of ", "pca:3 of obsm/a"]
)
def test_widths_and_layers_that_cannot_be(text):
    with pytest.raises(ConfigError, match="Expected `features`"):
        parse_features(text)


def test_check_names_the_layer_with_counts(layered, spec, saved):
    report = check([saved(layered, "a.h5ad")], pca(spec))
    assert any("--layer counts" in finding.fix for finding in report.findings if finding.level == "error")


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        ({"feature_key": "use"}, ["marker0", "marker2"]),
        ({"feature_key": "class=type,state"}, ["marker0", "marker1"]),
        ({"only_features": ("marker3,marker1",)}, ["marker1", "marker3"]),
        ({"drop_features": ("marker0", "marker1,marker2")}, ["marker3", "marker4", "marker5"]),
    ],
)
def test_chosen_features_alone_are_learned_and_needed(cohort, spec, choice, left):
    cohort.var["use"] = [True, False, True, False, False, False]
    cohort.var["class"] = ["type", "state", "none", "none", "none", None]
    transform = fit_features(cohort, dataclasses.replace(spec, **choice), np.arange(50))
    assert list(transform.input_genes) == left
    np.testing.assert_array_equal(transform.apply(cohort), cohort[:, left].X)


def test_components_of_chosen_genes_are_those_of_a_file_of_these(counts, spec):
    rows, names = np.arange(counts.n_obs), list(counts.var_names[:20])
    chosen = fit_features(counts, pca(spec, only_features=names), rows)
    alone = fit_features(counts[:, names].copy(), pca(spec), rows)
    np.testing.assert_array_equal(chosen.apply(counts), alone.apply(counts))


def test_names_from_a_file_and_names_with_commas(tmp_path, spec):
    (tmp_path / "names.txt").write_text("marker0\nmarker1\n")
    assert dataclasses.replace(spec, only_features=f"@{tmp_path / 'names.txt'}").only_features == (
        "marker0", "marker1",
    )  # fmt: skip
    assert list(Choice(drop=("a,b",)).positions(["a,b", "a", "c"], None, "")) == [1, 2]


@pytest.mark.parametrize(
    ("choice", "match"),
    [
        (Choice(only=("marker",)), "Did you mean"),
        (Choice(key="no"), "feature-key"),
        (Choice(drop=("a", "b")), "none of 2 left"),
    ],
)
def test_a_choice_that_cannot_be(cohort, choice, match):
    names = ["a", "b"] if choice.drop else list(cohort.var_names)
    with pytest.raises(DataError, match=match):
        choice.positions(names, cohort.var, "")


def test_channels_are_no_markers_but_genes_are():
    channels = [
        "Time",
        "Event_length",
        "FSC-A",
        "Ce140Di",
        "140Ce_Beads",
        "Ir191Di",
        "102Pd_BC1",
        "195Pt_Cisplatin",
    ]
    genes = ["TIMELESS", "CD3", "DNA2", "SSCA1", "CENTERIN", "BC1", "CD45_Pd104", "LIVER", "165Ho_pRB"]
    assert no_markers([*channels, *genes]) == [*channels, "DNA2"]
    assert no_markers(genes) == []


def kind(x):
    return looks_like(tally(Block(np.arange(len(x)), x)), evidence(x))


def test_what_values_are(counts):
    x = counts.X.toarray() + (counts.X.toarray() > 0) * 0
    scaled = 1e4 * x / x.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    assert kind(x) == "counts"
    assert kind(np.log1p(scaled).astype(np.float32)) == "log1p"
    assert kind(np.log1p(scaled)[:, :30].astype(np.float32)) == "log1p"  # genes chosen afterwards
    assert kind(np.log2(1 + scaled).astype(np.float32)) == "log2"
    assert kind(scaled.astype(np.float32)) == "normalised"
    assert kind(x * 1.0 - (x > 0) * rng.uniform(0, 0.3, x.shape)) == "other"
    assert kind(np.log1p(scaled) - 1) == "scaled"


def test_fractional_counts_are_taken_where_they_are_said(counts, spec):
    soup = counts.copy()
    soup.X = soup.X * 0.7
    with pytest.raises(DataError, match="log1p them first|round them"):
        fit_features(soup, pca(spec), np.arange(50))
    said = dataclasses.replace(pca(spec), expression="fractional-counts")
    expected = fit_features(counts, pca(spec), np.arange(50))
    np.testing.assert_allclose(
        fit_features(soup, said, np.arange(50)).apply(soup), expected.apply(counts), atol=1e-4
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        ("GENE{}", "Gene{}", "str.upper"),
        ("GENE{}", "GRCh38_GENE{}", "GRCh38"),
        ("ENSG0000000{}", "ENSG0000000{}.12", "version"),
        ("HLA-{}", "HLA.{}", '"-", regex=False'),
        ("A_{}", "A-{}", '"_", regex=False'),
    ],
)
def test_how_names_differ(mine, theirs, said):
    numbers = range(10, 30)
    text = name_difference([mine.format(i) for i in numbers], [theirs.format(i) for i in numbers])
    assert said in text
    assert "--" not in text


def test_names_in_a_column_of_var(counts, spec):
    transform = fit_features(counts, pca(spec), np.arange(50))
    other = counts.copy()
    other.var["symbol"] = other.var_names
    other.var_names = [f"ENSG{i:011d}" for i in range(other.n_vars)]
    with pytest.raises(BundleError, match=r'var\["symbol"\]') as error:
        transform.apply(other)
    assert "--min-feature-coverage" not in str(error.value)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_nothing_varies(counts, spec, value, saved):
    flat = anndata.AnnData(np.full(counts.shape, value, dtype=np.float32), obs=counts.obs, var=counts.var)
    constant = dataclasses.replace(spec, features="pca:3", expression="as-is")
    with pytest.raises(DataError, match="nothing varies"):
        fit_features(flat, constant, np.arange(50))
    report = check([saved(flat, "flat.h5ad")], constant)
    assert any("nothing varies" in finding.what for finding in report.findings)


def test_names_of_raw_are_those_of_raw(layered):
    assert feature_names(layered[:, :5].copy(), "raw") == list(layered.raw.var_names)
