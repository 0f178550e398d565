"""Predictions as other tools write them: read where they say enough, refused otherwise."""

import dataclasses

import anndata
import numpy as np
import pandas as pd
import pytest

from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.external.file_format import ExternalFormat
from cellflow_cli.external.read import read_external
from tests.evaluation.conftest import MARKERS, SPEC, TEST, TRAIN, score

METRICS = ["energy", "r2-delta"]
NAMES = pd.DataFrame(index=MARKERS)


@pytest.fixture
def ours(truth, predict):
    return predict(truth)


@pytest.fixture
def rows(ours):
    """The predicted rows of it alone."""
    return ours[ours.obs["cellflow_is_predicted"].to_numpy()]


@pytest.fixture
def plain(rows):
    """The same prediction with nothing but labels and names."""
    return anndata.AnnData(np.array(rows.X), obs=rows.obs[["patient", "treatment", "dose"]], var=NAMES)


def values(predicted, truth, **settings) -> pd.Series:
    table = score(predicted, truth, metrics=METRICS, **settings).table
    return table.set_index(["sample", "treatment", "dose", "predictor", "metric"])["value"]


def all_of(adata, **columns) -> pd.DataFrame:
    return pd.DataFrame(columns, index=adata.obs_names)


def training_of(truth) -> anndata.AnnData:
    return truth[truth.obs["patient"].isin(TRAIN)]


def test_with_training_cells_every_number_is_that_of_our_own_file(truth, ours, plain):
    external = read_external(plain, truth, SPEC, training=training_of(truth))
    # Rows that draw from kept training cells may differ: our own file holds none.
    shared = ["identity", "mean-shift", "nearest-sample", "ridge"]
    expected, found = (values(p, truth, baselines=shared) for p in (ours, external))
    pd.testing.assert_series_equal(found, expected)


def test_a_model_stands_in_for_training_cells(truth, ours, plain):
    from cellflow_cli.prediction.file import PredictionFile

    own = PredictionFile.read(ours)
    external = read_external(plain, truth, SPEC, transform=own.transform, summaries=own.summaries)
    shared = ["identity", "mean-shift"]
    pd.testing.assert_series_equal(
        values(external, truth, baselines=shared), values(ours, truth, baselines=shared)
    )


def test_without_training_baselines_that_need_it_say_why(truth, plain):
    scores = score(read_external(plain, truth, SPEC), truth, metrics=["energy"])
    by_row = scores.table.groupby("predictor")["value"].count()
    assert by_row["model"] == by_row["identity"] == by_row["floor"] == 6
    assert by_row["mean-shift"] == 0
    reasons = set(scores.table.loc[scores.table["predictor"] == "mean-shift", "reason"])
    assert all("found none at all" in reason for reason in reasons)
    text = " ".join(scores.warnings)
    assert "No training cells were given" in text
    assert "`--training`" in text


def test_shared_values_complete_labels_copied_from_the_controls(truth, plain):
    one = plain[(plain.obs["treatment"] == "drug").to_numpy() & (plain.obs["dose"] == 1.0).to_numpy()]
    copied = one.copy()
    copied.obs["treatment"], copied.obs["dose"] = "DMSO", 0.0
    file_format = ExternalFormat(obs={"treatment": "drug", "dose": "1.0"})
    expected = values(read_external(one, truth, SPEC), truth)
    pd.testing.assert_series_equal(values(read_external(copied, truth, SPEC, file_format), truth), expected)
    # the same where tutorials write a label that nobody measured, or no column at all
    copied.obs["treatment"] = "pred"
    pd.testing.assert_series_equal(values(read_external(copied, truth, SPEC, file_format), truth), expected)
    del copied.obs["treatment"], copied.obs["dose"]
    pd.testing.assert_series_equal(values(read_external(copied, truth, SPEC, file_format), truth), expected)


@pytest.mark.parametrize("matrix", ["layers/pred", "obsm/pred"])
def test_a_prediction_beside_measured_cells(truth, plain, matrix):
    """Real cells in X and the prediction of each in a layer or obsm."""
    kind, name = matrix.split("/")
    beside = truth[truth.obs["patient"].isin(TEST)].copy()
    moved = np.array(beside.X)
    for key, cells in beside.obs.groupby(["patient", "treatment", "dose"]).indices.items():
        same = (plain.obs["patient"] == key[0]) & (plain.obs["treatment"] == key[1])
        same &= plain.obs["dose"].isna() if np.isnan(key[2]) else plain.obs["dose"] == key[2]
        moved[cells] = np.array(plain.X)[same.to_numpy()]
    getattr(beside, kind)[name] = moved
    file_format = ExternalFormat(matrix=matrix, assume_feature_order=kind == "obsm")
    found = values(read_external(beside, truth, SPEC, file_format), truth)
    keep = [("drug", 0.1), ("drug", 1.0)]  # doses that `groupby` keeps: the other treatment has none
    for treatment, dose in keep:
        at = (TEST[0], treatment, dose, "model", "r2-delta")
        assert found[at] == pytest.approx(values(read_external(plain, truth, SPEC), truth)[at])
    with pytest.raises(DataError, match=r"found the measured cells of P4, drug 0.1 themselves"):
        read_external(beside, truth, SPEC)
    explicit = ExternalFormat(matrix="X")
    assert (
        read_external(beside, truth, SPEC, explicit).n_obs == len(truth.obs.query("patient in @TEST")) - 120
    )


def test_nameless_columns_are_taken_in_order_only_on_request(truth, plain):
    nameless = anndata.AnnData(np.array(plain.X), obs=plain.obs)
    with pytest.raises(DataError, match=r"found 0 of them.*`--assume-feature-order`"):
        read_external(nameless, truth, SPEC)
    file_format = ExternalFormat(assume_feature_order=True)
    pd.testing.assert_series_equal(
        values(read_external(nameless, truth, SPEC, file_format), truth),
        values(read_external(plain, truth, SPEC), truth),
    )
    with pytest.raises(ConfigError, match="Expected the 5 features of the truth.*found 4 columns"):
        read_external(nameless[:, :4], truth, SPEC, file_format)
    with pytest.raises(ConfigError, match="found 5 of its names in another order"):
        read_external(plain[:, ::-1].copy(), truth, SPEC, file_format)
    nameless.obsm["pred"] = np.array(plain.X)
    with pytest.raises(DataError, match="found the 5 nameless columns of `obsm/pred`"):
        read_external(nameless, truth, SPEC, ExternalFormat(matrix="obsm/pred"))


def test_features_are_found_by_name_and_fewer_only_on_request(truth, plain):
    expected = values(read_external(plain, truth, SPEC), truth)
    pd.testing.assert_series_equal(values(read_external(plain[:, ::-1].copy(), truth, SPEC), truth), expected)
    fewer = plain[:, :3].copy()
    with pytest.raises(DataError, match=r"found 3 of them; missing are 'm4', 'm5'. Compare .*--shared-feat"):
        read_external(fewer, truth, SPEC)
    external = read_external(fewer, truth, SPEC, ExternalFormat(shared_features=True))
    assert list(external.var_names) == MARKERS[:3]
    pd.testing.assert_series_equal(
        values(external, truth), values(read_external(fewer, truth[:, :3].copy(), SPEC), truth)
    )


def test_controls_of_the_file_are_left_aside(truth, ours):
    both = anndata.AnnData(np.array(ours.X), obs=ours.obs[["patient", "treatment", "dose"]], var=NAMES)
    both.X[(both.obs["treatment"] == "DMSO").to_numpy()] += 100  # reconstructed, and badly
    scores = score(read_external(both, truth, SPEC), truth, metrics=["energy"], baselines=["identity"])
    assert "120 cells of the prediction are labelled control and left aside" in scores.warnings[0]
    identity = scores.table[scores.table["predictor"] == "identity"].value
    assert identity.max() < 10


@pytest.mark.parametrize(
    ("change", "settings", "error", "text"),
    [
        (lambda p: p.obs.pop("treatment"), {}, DataError, r"--rename treatment=COLUMN.*--predicted-obs"),
        (lambda p: p.obs.pop("patient"), {}, DataError, "--predicted-obs patient=VALUE"),
        (lambda p: p.obs.pop("dose"), {}, DataError, "--predicted-obs dose=VALUE"),
        (lambda p: p.obs.update(all_of(p, treatment="DMSO")), {}, DataError, "control only"),
        (lambda p: p.obs.update(all_of(p, treatment="pred")), {}, DataError, "found 'pred'"),
        (None, {"obs": {"treatment": "drug"}}, ConfigError, "to be 'drug'.*found 'other'"),
        (None, {"obs": {"patient": "P4"}}, ConfigError, "to be 'P4'.*found 'P5'"),
        (None, {"obs": {"dose": "1"}}, ConfigError, r"to be '1'.*found '0\.1'"),
        (None, {"obs": {"dose": "much"}}, ConfigError, "dose of at least 0"),
        (None, {"obs": {"tretment": "drug"}}, ConfigError, "Did you mean 'treatment'"),
        (None, {"matrix": "layers/prde"}, DataError, "--predicted-in"),
        (None, {"expression": "counts"}, ConfigError, "Only log1p values"),
        (None, {"rename": {"patient": "donor"}}, DataError, "to rename it"),
    ],
)  # fmt: skip
def test_what_is_missing_or_contradicts_is_refused(truth, plain, change, settings, error, text):
    plain = plain.copy()
    if change:
        change(plain)
    with pytest.raises(error, match=text):
        read_external(plain, truth, SPEC, ExternalFormat(**settings))


def test_a_control_that_is_not_there_is_refused_where_another_label_looks_like_it(truth, plain):
    wrong = dataclasses.replace(SPEC, control=("DMS0",))
    with pytest.raises(DataError, match=r"to contain the control 'DMS0'.*Did you mean 'DMSO'"):
        read_external(plain, truth, wrong)
    other = truth.copy()
    other.obs["treatment"] = other.obs["treatment"].replace({"DMSO": "vehicle"})
    with pytest.raises(DataError, match="'vehicle' looks untreated"):
        read_external(plain, other, SPEC)
    treated = truth[truth.obs["treatment"] != "DMSO"]  # a truth without any controls is welcome
    assert read_external(plain, treated, SPEC).n_obs == plain.n_obs


def test_cell_types_of_the_file_are_kept(truth, plain):
    spec = dataclasses.replace(SPEC, cell_type_key="kind")
    with pytest.raises(DataError, match=r'Expected `obs\["kind"\]`.*--cell-type-key'):
        read_external(plain, truth, spec)
    typed, measured = plain.copy(), truth.copy()
    typed.obs["kind"], measured.obs["kind"] = "a", "a"
    scores = score(read_external(typed, measured, spec), measured, metrics=["energy"], baselines=["identity"])
    assert set(scores.by_type.table["cell_type"]) == {"a"}
    assert scores.by_type.table.query("predictor == 'model'")["value"].notna().all()


def test_settings_that_are_no_settings():
    with pytest.raises(ConfigError, match="--predicted-in"):
        ExternalFormat(matrix="pca:3")
    with pytest.raises(ConfigError, match="Did you mean 'log1p'"):
        ExternalFormat(expression="log1")


def test_training_cells_of_the_predicted_groups_are_refused(truth, plain):
    from dataclasses import replace

    with pytest.raises(DataError, match=r"found 'P4', 'P5' in both.*--holdout patient=P4,P5"):
        read_external(plain, truth, SPEC, training=truth)
    held = read_external(plain, truth, replace(SPEC, holdout=("patient=P4,P5",)), training=truth)
    without = read_external(plain, truth, SPEC, training=training_of(truth))
    pd.testing.assert_series_equal(values(held, truth), values(without, truth))


class TestExpression:
    """Components of log1p counts: files of counts and of log1p values meet in one space."""

    @pytest.fixture
    def spec(self):
        return DataSpec(
            treatment_key="treatment", control="DMSO", sample_key="patient", dose_key="dose",
            features="pca:2", expression="counts",
        )  # fmt: skip

    @pytest.fixture
    def counts(self, truth):
        made = truth.copy()
        made.X = np.random.default_rng(0).poisson(2000 * np.exp(0.3 * made.X)).astype(np.float32)
        return made

    @pytest.fixture
    def drawn(self, truth):
        made = truth[truth.obs["patient"].isin(TEST)].copy()
        made.X = np.random.default_rng(1).poisson(2000 * np.exp(0.3 * made.X)).astype(np.float32)
        return made

    @staticmethod
    def log1p(adata, total=1e4):
        made = adata.copy()
        made.X = np.log1p(total * made.X / made.X.sum(1, keepdims=True)).astype(np.float32)
        return made

    def test_log1p_against_counts(self, spec, counts, drawn):
        expected = values(read_external(drawn, counts, spec), counts)
        file_format = ExternalFormat(expression="log1p")
        found = values(read_external(self.log1p(drawn), counts, spec, file_format), counts)
        pd.testing.assert_series_equal(found, expected, rtol=1e-4, atol=1e-6)

    def test_one_thing_is_not_taken_for_another(self, spec, counts, drawn):
        logs, file_format = self.log1p(drawn), ExternalFormat(expression="log1p")
        with pytest.raises(DataError, match=r"Expected counts.*--predicted-expression`: log1p"):
            read_external(logs, counts, spec)
        with pytest.raises(DataError, match=r"Expected log1p values.*--predicted-expression`"):
            read_external(drawn, counts, spec, file_format)
        with pytest.raises(DataError, match=r"of 10,000 counts a cell, found 1,000"):
            read_external(self.log1p(drawn, 1e3), counts, spec, file_format)

    def test_expected_counts_have_fractions(self, spec, counts, drawn):
        expected = values(read_external(drawn, counts, spec), counts)
        halves = drawn.copy()
        halves.X = halves.X * 0.37  # the same shares of a cell
        with pytest.raises(DataError, match="Expected counts"):
            read_external(halves, counts, spec)
        found = values(read_external(halves, counts, spec, ExternalFormat(expression="counts")), counts)
        pd.testing.assert_series_equal(found, expected, rtol=1e-4, atol=1e-6)
        halves.X[-1, 0] = -1
        with pytest.raises(DataError, match="negative"):
            read_external(halves, counts, spec, ExternalFormat(expression="counts"))

    def test_values_below_zero_are_kept_and_reported(self, spec, counts, drawn):
        from dataclasses import replace

        logs = self.log1p(drawn)
        logs.X[:, 0] -= 9
        external = read_external(logs, self.log1p(counts), replace(spec, expression="log1p"))
        assert external.X.min() < 0
        assert any("below zero" in remark for remark in external.uns["cellflow"]["warnings"])
