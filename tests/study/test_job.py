"""One job: what is trained, which groups are predicted, and how they are scored."""

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest

from cellflow_cli.config import from_dict
from cellflow_cli.data.read import read_obs
from cellflow_cli.errors import DataError
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.evaluation.evaluate import evaluate
from cellflow_cli.model import load
from cellflow_cli.prediction import PredictionRequest, predict
from cellflow_cli.study import folds_by_column, folds_by_group, run
from tests.study.conftest import DATA, TINY, on_file


def test_scores_are_those_of_the_config(only_fm):
    scoring = EvaluationConfig(
        metrics=("energy",), baselines=("ridge",), max_cells=17, all_cells=True, scale=False
    )
    run(study := replace(only_fm, scoring=scoring), 1)
    scores = study.scores()
    assert set(scores["n"]) == {17}
    adata = anndata.read_h5ad(study.data[0])
    model = load(study.jobs()[0].folder / "model")
    predicted = predict(model, adata, PredictionRequest(samples={"patient": ["P1"]}, like=adata.obs))
    config = replace(scoring, audit=False, cell_types=False)
    table = evaluate(predicted, adata, config, transform=model.transform, summaries=model.summaries).table
    own = scores[scores["group"] == "P1"].assign(
        predictor=lambda lines: lines["predictor"].replace("fm", "model")
    )
    keys = ["predictor", "treatment"]
    expected, found = (lines.set_index(keys)["value"].sort_index() for lines in (table, own))
    pd.testing.assert_series_equal(found, expected)


def test_a_type_of_a_held_out_group_alone_stops_nothing(study, tmp_path):
    adata = anndata.read_h5ad(study.data[0])
    adata.obs["kind"] = np.where(adata.obs["patient"] == "P1", "mast", "T")
    adata.write_h5ad(tmp_path / "typed.h5ad")
    first = study.folds[0]
    fold = replace(first, spec=replace(first.spec, cell_type_key="kind"))
    typed = on_file(study, tmp_path / "typed.h5ad", folds=(fold,))
    run(typed, 1)
    scores = typed.scores()
    lines = scores[scores["predictor"].isin(["fm", "mfm"]) & (scores["group"] == "P1")]
    assert len(lines) == 2 * 2
    assert lines["value"].notna().all()


def test_populations_dropped_from_training_are_not_scored(only_fm, tmp_path, common):
    cells = anndata.read_h5ad(only_fm.data[0])
    few = (cells.obs["patient"] == "P1") & (cells.obs["treatment"] == "drug")
    keep = ~few.to_numpy() | (np.cumsum(few) <= 3)
    file = tmp_path / "few.h5ad"
    cells[keep].copy().write_h5ad(file)
    spec = from_dict({**common, "data": {**common["data"], "drop_small": True}}).data
    folds = tuple(folds_by_group(read_obs([file]), spec, 2))[:1]
    run(dropped := on_file(only_fm, file, folds=folds), 1)
    scored = dropped.scores()[["group", "treatment"]].drop_duplicates()
    assert ("P1", "drug") not in set(scored.itertuples(index=False, name=None))
    assert "P1" in set(scored["group"])  # under the other treatment


def test_of_training_groups_only_marked_samples_are_scored(only_fm, tmp_path, monkeypatch):
    adata = anndata.read_h5ad(only_fm.data[0])
    adata.obs["part"] = np.where(adata.obs["patient"] == "P4", "test", "train")
    adata.obs["plate"] = np.where(np.arange(adata.n_obs) % 2 == 0, "a", "b")
    adata.obs["shown"] = ((adata.obs["patient"] == "P2") & (adata.obs["plate"] == "a")).to_numpy()
    adata.write_h5ad(tmp_path / "parts.h5ad")
    spec = from_dict({**TINY, "data": {**DATA, "sample_key": ["patient", "plate"], "split_key": "part"}}).data
    (fold,) = folds_by_column(adata.obs, spec, "shown", validation=False)
    run(parts := on_file(only_fm, tmp_path / "parts.h5ad", folds=(fold,)), 1)
    scores = parts.scores()
    found = scores[scores["predictor"] == "fm"][["part", "sample"]].drop_duplicates()
    assert set(found.itertuples(index=False, name=None)) == {
        ("train", "P2 | a"), ("test", "P4 | a"), ("test", "P4 | b"),
    }  # fmt: skip


def test_a_file_that_changes_between_two_jobs_stops_the_study(study, cohort_file, tmp_path):
    path = tmp_path / "changing.h5ad"
    path.write_bytes(cohort_file.read_bytes())

    def change(done, total, job, facts):
        adata = anndata.read_h5ad(path)
        adata.X = adata.X + 1
        adata.write_h5ad(path)

    with pytest.raises(DataError, match=r"3 of 4 jobs failed.*'changing.h5ad' changed since"):
        run(on_file(study, path), 1, on_done=change)
