import anndata
import pytest

from cellflow_cli.errors import DataError
from cellflow_cli.evaluation.align import align
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.report.data import ReportData, best_to_worst, collect, read_scored
from tests.evaluation.conftest import SHIFTS, SPEC, TEST, TRAIN, make_prediction, make_truth, score
from tests.report.conftest import make_cells, make_scores


def test_scored_populations_have_sizes_and_what_was_trained():
    truth = make_truth()
    truth = anndata.concat([truth, make_truth(draw=3)[truth.obs["patient"] == "P5"]], index_unique="-")
    file = PredictionFile.read(make_prediction(truth))
    scored = read_scored(file, align(file.adata.obs, truth.obs, file.spec).pairs)

    assert scored.train_groups == TRAIN
    assert scored.groups == TEST
    assert scored.conditions == ("drug 0.1", "drug 1", "other")
    assert scored.conditions_known
    assert scored.untrained_conditions == ()
    assert (scored.group_key, scored.dose_unit) == (SPEC.group, "µM")
    sizes = [(p.n_control, p.n_predicted, p.n_measured) for p in scored.populations]
    assert sizes == [(60, 60, 60)] * len(SHIFTS) + [(120, 120, 120)] * len(SHIFTS)


def test_best_median_and_worst_are_chosen():
    cells = make_cells(make_scores(groups=4, mean_shift=0.1))
    costs = {one.key: float(i) for i, one in enumerate(cells.populations)}
    assert [costs[one.key] for one in best_to_worst(cells.populations, costs)] == [0, 4, 7]
    assert best_to_worst(cells.populations, {}) == cells.populations[:3]


@pytest.mark.parametrize("metric", ["energy", "r2-mean"])
def test_the_best_comes_first_whatever_is_best(metric):
    """The model's values grow from group to group, and from treatment to treatment."""
    scores = make_scores(groups=3, mean_shift=0.1, metrics=(metric,))
    titles = [one.title for one in ReportData.of(scores, cells=make_cells(scores)).shown]
    ends = ["P0, chemo 0.5", "P2, drug 1"]
    assert [titles[0], titles[-1]] == (ends if metric == "energy" else ends[::-1])


def test_the_metric_of_the_verdict_comes_first():
    data = ReportData.of(make_scores(metrics=("variance-ratio", "w1", "energy"), ridge=0.1))
    assert data.metric == "energy"
    assert data.scores.metrics == tuple(data.summary.metrics) == ("energy", "variance-ratio", "w1")


def test_everything_is_collected_from_files():
    truth = make_truth()
    prediction = make_prediction(truth)
    scores = score(prediction, truth, metrics=["energy"], baselines=["identity"], audit=False)
    data = collect(scores, prediction, truth)
    assert data.scored.train_groups == TRAIN
    assert len(data.cells.populations) == len(data.scored.populations) == 6
    assert (len(data.shown), data.flows.populations) == (3, ())
    del prediction.uns["cellflow"]
    with pytest.raises(DataError, match="cellflow predict"):
        collect(scores, prediction, truth)
