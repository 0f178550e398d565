"""Where the variants move the cells of one sample of each part."""

from dataclasses import replace

import anndata
import numpy as np
import pytest

from cellflow_cli.config import from_dict
from cellflow_cli.data.read import read_obs
from cellflow_cli.model import load
from cellflow_cli.prediction import PredictionRequest, predict
from cellflow_cli.study import folds_by_group, run, variants_of_methods
from cellflow_cli.study.flows import flows
from tests.study.conftest import on_file


@pytest.mark.parametrize("method", ["fm", "cgfm"])
def test_flows_end_at_the_prediction_of_trained_and_unseen_samples(only_fm, common, tmp_path, method):
    """Of two features the plane is the features themselves; cgfm is conditioned on the label of P3."""
    cells = anndata.read_h5ad(only_fm.data[0])[:, :2].copy()
    cells.write_h5ad(tmp_path / "two.h5ad")
    fold = replace(only_fm.folds[0], scored=(("held out", ("P1",)), ("train", ("P3",))))
    variants = tuple(variants_of_methods([method], common))
    run(two := on_file(only_fm, tmp_path / "two.h5ad", variants=variants, folds=(fold,)), 1)
    model = load(two.jobs()[0].folder / "model")
    for flow, patient in zip(flows(two, (0.0, 1.0)), ("P1", "P3"), strict=True):
        request = PredictionRequest(samples={"patient": [patient]}, treatments=["drug"], controls=False)
        expected = predict(model, cells, request).X
        assert flow.title.endswith(f"{patient}, drug")
        np.testing.assert_allclose(flow.variants[method][-1], expected, rtol=1e-5, atol=1e-5)


def test_the_figure_is_of_the_first_fold_that_has_a_finished_job(study):
    second = replace(study, variants=study.variants[:1], folds=study.folds[1:])
    run(second, 1)
    (flow,) = flows(study, (0.0, 1.0))
    assert flow.title == "held out: P3, drug"


def test_flows_begin_at_the_source_and_end_at_the_prediction(study, only_fm):
    run(only_fm, 1)
    (flow,) = flows(only_fm, (0.0, 0.5, 1.0))
    path = flow.variants["fm"]
    assert flow.title == "held out: P1, drug"
    assert path[0] == pytest.approx(flow.source, abs=1e-4)
    assert path[2].shape == flow.source.shape


def test_groups_without_trained_conditions_are_left_out(only_fm, tmp_path, common):
    """P1 alone had `rare` and nothing else, P2 alone `seldom` besides what all had."""
    cells = anndata.read_h5ad(only_fm.data[0])
    treatment = cells.obs["treatment"].astype(str)
    treatment[(cells.obs["patient"] == "P1") & (treatment != "control")] = "rare"
    treatment[(cells.obs["patient"] == "P2") & (treatment == "drug")] = "abc"  # before `other`
    cells.obs["treatment"] = treatment
    file = tmp_path / "rare.h5ad"
    cells.write_h5ad(file)
    folds = folds_by_group(read_obs([file]), from_dict(common).data, 2)
    run(rare := on_file(only_fm, file, folds=tuple(folds[:1])), 1)
    scored = rare.scores()[["group", "treatment"]].drop_duplicates()
    assert list(scored.itertuples(index=False, name=None)) == [("P2", "other")]
    (flow,) = flows(rare, (0.0, 1.0))
    assert flow.title == "held out: P2, other"
