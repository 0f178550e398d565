"""The same cells predicted again, with another population as context."""

import anndata
import numpy as np
import pytest
import torch

import cellflow_cli as cf
from cellflow_cli.errors import BundleError, ConfigError, MetricError
from cellflow_cli.evaluation.align import align
from cellflow_cli.model import ContextAblation
from cellflow_cli.prediction import PredictionFile, PredictionRequest, predict
from cellflow_cli.prediction.context import training_controls
from cellflow_cli.prediction.transport import prepare
from cellflow_cli.statistics.ablation import AVERAGE, OTHER
from cellflow_cli.types import Condition
from tests.evaluation.conftest import score
from tests.model.conftest import make_model, make_spec


@pytest.fixture(scope="module")
def trained(cohort):
    """Two patients held out; cell types are given."""
    spec = make_spec(holdout="patient=P4,P5", cell_type_key="cell_type")
    return make_model(cohort, spec)


def flows(adata):
    return np.asarray(adata.X)[adata.obs["cellflow_is_predicted"].to_numpy()]


def again(model, predicted, truth, name):
    """All predicted cells in their order, by one of the functions of the ablation."""
    pairs = align(predicted.obs, truth.obs, model.config.data).pairs
    at = np.flatnonzero(predicted.obs["cellflow_is_predicted"])
    cells = np.full((len(at), predicted.n_vars), np.nan, dtype=np.float32)
    for pair in pairs:
        rows = pair.predicted[::-1]  # any order
        ablation = ContextAblation(model, PredictionFile.read(predicted))
        if name == "own":
            found = ablation.predicted_again(pair, rows, [])
        else:
            found = getattr(ablation, name)(pair, rows, pairs)
        cells[np.searchsorted(at, rows)] = found.numpy()
    return cells


@pytest.mark.parametrize("name", ["own", "other", "average"])
def test_rows_are_what_predict_writes(trained, cohort, name):
    own = predict(trained, cohort, PredictionRequest())
    wanted = predict(trained, cohort, PredictionRequest(population=name))
    np.testing.assert_allclose(again(trained, own, cohort, name), flows(wanted), atol=1e-5)
    if name != "own":
        assert np.abs(flows(own) - flows(wanted)).max() > 1e-4
        assert wanted.uns["cellflow"]["population"] == name
        assert any("a check, no prediction" in text for text in wanted.uns["cellflow"]["warnings"])


def test_rows_in_components(pca_model, counts):
    predicted = predict(pca_model, counts, PredictionRequest(samples="all"))
    pairs = align(predicted.obs, counts.obs, pca_model.config.data).pairs
    found = ContextAblation(pca_model, PredictionFile.read(predicted)).predicted_again(
        pairs[0], pairs[0].predicted, []
    )
    np.testing.assert_allclose(found.numpy(), predicted.obsm["X_pca"][pairs[0].predicted], atol=1e-5)


def test_the_average_context_is_the_mean_of_contexts(trained):
    controls = training_controls(trained)
    assert [one.sample[0] for one in controls] == ["P1", "P2", "P3"]
    condition = Condition("drug", 1.0)
    mean = prepare(trained.method, controls[0], condition, 0, context=controls).conditioning.context.vector
    each = [prepare(trained.method, one, condition, 0).conditioning.context.vector for one in controls]
    torch.testing.assert_close(mean, torch.stack(each).mean(0))


def test_types_of_kept_cells_are_those_of_the_training_file(trained, cohort):
    one = training_controls(trained)[0]
    rows = ((cohort.obs["patient"] == "P1") & (cohort.obs["treatment"] == "DMSO")).to_numpy()
    known = {
        tuple(np.round(cells, 5)): kind
        for cells, kind in zip(
            np.asarray(cohort.X)[rows].tolist(), cohort.obs["cell_type"][rows], strict=True
        )
    }
    types = trained.vocabulary.cell_types
    for cells, hot in zip(one.cells.tolist(), one.node_features, strict=True):
        assert types[int(hot.argmax())] == known[tuple(np.round(cells, 5))]


def test_a_saved_model_keeps_them(trained, tmp_path):
    trained.save(tmp_path / "model")
    loaded = cf.load(tmp_path / "model")
    for one, other in zip(training_controls(trained), training_controls(loaded), strict=True):
        assert torch.equal(one.node_features, other.node_features)
    from dataclasses import replace

    bare = replace(loaded, summaries=loaded.summaries.light())
    with pytest.raises(BundleError, match="found no cells. Train again"):
        training_controls(bare)
    old = replace(loaded, summaries=replace(loaded.summaries, codes=loaded.summaries.codes[:0]))
    with pytest.raises(BundleError, match="found no cell types of them"):
        training_controls(old)


def test_scores_tell_whether_it_matters(trained, cohort):
    predicted = predict(trained, cohort, PredictionRequest())
    scores = score(
        predicted,
        cohort,
        metrics=["energy"],
        baselines=["identity"],
        extra_predictions=ContextAblation(trained, PredictionFile.read(predicted)).predictions,
    )
    found = scores.summary().ablation
    assert set(found.predictors) == {OTHER, AVERAGE}
    assert found.groups.keys() == {"P4", "P5"}
    assert scores.predictors == ("model", "identity", "floor")
    plain = score(predicted, cohort, metrics=["energy"], baselines=["identity"])
    kept = scores.table[~scores.table["predictor"].isin([OTHER, AVERAGE])].reset_index(drop=True)
    assert kept.value.equals(plain.table["value"])


def reasons(model, predicted, truth):
    pairs = align(predicted.obs, truth.obs, model.config.data).pairs
    found = []
    for call in ContextAblation(model, PredictionFile.read(predicted)).predictions.values():
        with pytest.raises(MetricError) as caught:
            call(pairs[0], pairs[0].predicted, pairs)
        found.append(str(caught.value))
    return found


def test_why_there_is_no_such_row(trained, cohort):
    bare = predict(trained, cohort, PredictionRequest(controls=False))
    assert all("no control cells" in reason for reason in reasons(trained, bare, cohort))
    wrong = predict(trained, cohort, PredictionRequest(population="other"))
    assert all("(`other`)" in reason for reason in reasons(trained, wrong, cohort))
    alone = predict(trained, cohort, PredictionRequest(samples={"patient": ["P5"]}))
    pairs = align(alone.obs, cohort.obs, trained.config.data).pairs
    with pytest.raises(MetricError, match="no other sample"):
        ContextAblation(trained, PredictionFile.read(alone)).other(pairs[0], pairs[0].predicted, pairs)
    renamed = predict(trained, cohort, PredictionRequest())
    renamed.obs["cellflow_source_cell"] = "x"
    assert all("by name" in reason for reason in reasons(trained, renamed, cohort))


@pytest.mark.parametrize(
    ("name", "why"), [("fm", "not conditioned on the population"), ("cgfm", "conditioned on the label")]
)
def test_methods_that_see_no_population_say_so(cohort, name, why):
    model = make_model(cohort, make_spec(holdout="patient=P4,P5"), method=name)
    predicted = predict(model, cohort, PredictionRequest())
    assert all(why in reason for reason in reasons(model, predicted, cohort))
    average = predict(model, cohort, PredictionRequest(population="average"))
    assert isinstance(average, anndata.AnnData)
    assert any("makes no difference" in text and why in text for text in average.uns["cellflow"]["warnings"])
    np.testing.assert_allclose(flows(average), flows(predicted), atol=1e-6)


def test_unknown_populations_are_refused(trained, cohort):
    with pytest.raises(ConfigError, match="Did you mean 'average'"):
        predict(trained, cohort, PredictionRequest(population="avrage"))
