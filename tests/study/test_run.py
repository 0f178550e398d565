"""Jobs are done once, side by side or not, and never mixed with jobs of other settings."""

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from cellflow_cli.prediction.trajectory import trajectory

from cellflow_cli.config import from_dict
from cellflow_cli.data.read import read_obs
from cellflow_cli.errors import CellflowError, ConfigError, NumericalError, OutputError
from cellflow_cli.model import load, train
from cellflow_cli.study import Measure, folds_by_column, folds_by_group, jobs, run, variants_of_methods
from cellflow_cli.study._study import _read_scores
from cellflow_cli.study.flows import flows
from cellflow_cli.study.jobs import run_job
from tests.study.conftest import DATA, TINY


def test_a_study_trains_every_arm_on_every_fold_and_scores_the_held_out_groups(study):
    seen = []
    run(study, 1, lambda done, total, job, facts: seen.append((done, total, job.title)))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4]
    scores = study.scores()
    assert list(scores["predictor"].unique()[:2]) == ["fm", "mfm"]
    assert {"identity", "mean-shift", "floor"} <= set(scores["predictor"])
    for row in ("fm", "mfm", "identity"):
        lines = scores[scores["predictor"] == row]
        assert sorted(lines["group"]) == sorted([f"P{p}" for p in range(1, 5)] * 2)  # two treatments each
        assert lines["value"].notna().all()
    for folder in (study.folder / "jobs").iterdir():  # nobody was trained on who is scored
        facts = json.loads((folder / "job.json").read_text())
        split = json.loads((folder / "model" / "features.json").read_text())["split"]
        held = {group for _, groups in facts["settings"]["scored"] for group in groups}
        assert not held & {*split["train"], *split["val"]}
    assert study.costs()["steps"].gt(0).all()


def test_finished_jobs_are_not_done_again_and_a_further_arm_adds_its_own(study, only_fm):
    run(only_fm, 1)
    before = only_fm.scores()
    wider = replace(only_fm, variants=study.variants)
    done = []
    run(wider, 1, lambda _d, _t, job, _f: done.append(job.title))
    assert done == ["mfm, fold 1, seed 0"]
    after = wider.scores()
    kept = after[after["predictor"] != "mfm"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before.reset_index(drop=True))


def test_fewer_arms_keep_the_rows_that_need_no_model(study):
    """They were scored in a job of a variant that is not asked for now."""
    run(study, 1)
    everything = study.scores()
    fewer = replace(study, variants=study.variants[1:])
    done = []
    run(fewer, 1, lambda *_: done.append(1))
    assert done == []
    expected = everything[everything["predictor"] != "fm"].reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer.scores().reset_index(drop=True), expected)


def test_a_type_of_a_held_out_group_alone_stops_nothing(study, tmp_path):
    adata = anndata.read_h5ad(study.data[0])
    adata.obs["kind"] = np.where(adata.obs["patient"] == "P1", "mast", "T")
    adata.write_h5ad(tmp_path / "typed.h5ad")
    first = study.folds[0]
    fold = replace(first, spec=replace(first.spec, cell_type_key="kind"))
    typed = replace(study, data=(tmp_path / "typed.h5ad",), folds=(fold,))
    run(typed, 1)
    scores = typed.scores()
    lines = scores[scores["predictor"].isin(["fm", "mfm"]) & (scores["group"] == "P1")]
    assert len(lines) == 2 * 2
    assert lines["value"].notna().all()


def test_where_no_finished_job_has_them_one_is_done_again(study):
    run(study, 1)
    for folder in (study.folder / "jobs").glob("fm_*"):
        shutil.rmtree(folder)
    fewer = replace(study, variants=study.variants[1:])
    assert [job.title for job in fewer.pending()] == ["mfm, fold 1, seed 0", "mfm, fold 2, seed 0"]
    run(fewer, 1)
    assert {"identity", "floor"} <= set(fewer.scores()["predictor"])


def test_populations_dropped_from_training_are_not_scored(only_fm, tmp_path, common):
    cells = anndata.read_h5ad(only_fm.data[0])
    few = (cells.obs["patient"] == "P1") & (cells.obs["treatment"] == "drug")
    keep = ~few.to_numpy() | (np.cumsum(few) <= 3)
    file = tmp_path / "few.h5ad"
    cells[keep].copy().write_h5ad(file)
    spec = from_dict({**common, "data": {**common["data"], "drop_small": True}}).data
    folds = tuple(folds_by_group(read_obs([file]), spec, 2))[:1]
    run(dropped := replace(only_fm, data=(file,), folds=folds), 1)
    scored = dropped.scores()[["group", "treatment"]].drop_duplicates()
    assert ("P1", "drug") not in set(scored.itertuples(index=False, name=None))
    assert "P1" in set(scored["group"])  # under the other treatment


def test_every_step_is_counted(only_fm):
    """Four steps until validation, and as many again on all groups; none of it is a round number."""
    config = only_fm.variants[0].config
    variant = replace(only_fm.variants[0], config=replace(config, training=replace(config.training, steps=5)))
    run(counted := replace(only_fm, variants=(variant,)), 1)
    model = load(counted.jobs()[0].folder / "model")
    assert max(row["step"] for row in model.history.rows if row["stage"] == "train") == 5
    assert counted.costs()["steps"].iloc[0] > 5


def test_a_killed_worker_is_no_bug_and_loses_nothing(study, monkeypatch):
    monkeypatch.setattr("cellflow_cli.study._study._pool", _broken)
    with pytest.raises(OutputError, match=r"4 of 4 jobs failed.*found it killed.*--jobs 1"):
        run(study, 2)


class _Broken:
    def submit(self, *_):
        future = Future()
        future.set_exception(BrokenProcessPool("a child process terminated abruptly"))
        return future


@contextmanager
def _broken(workers):
    yield _Broken()


def test_a_worker_ends_with_its_parent():
    """The parent is killed; the worker would wait for work for ever."""
    code = (
        "import concurrent.futures as f, multiprocessing as m, os, time\n"
        "from cellflow_cli.study._study import _begin\n"
        "if __name__ == '__main__':\n"
        "    pool = f.ProcessPoolExecutor(1, m.get_context('spawn'), _begin, (1,))\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    until = time.monotonic() + 20
    while _lives(worker) and time.monotonic() < until:
        time.sleep(0.2)
    assert not _lives(worker)


def _lives(pid):
    try:
        return "(Z" not in Path(f"/proc/{pid}/stat").read_text().replace(") Z", "(Z")
    except FileNotFoundError:
        return False


def test_other_settings_never_share_a_table(only_fm):
    run(only_fm, 1)
    longer = replace(
        only_fm.variants[0].config, training=replace(only_fm.variants[0].config.training, steps=5)
    )
    with pytest.raises(ConfigError, match=r"config.training.steps was 4 and is 5"):
        run(replace(only_fm, variants=(replace(only_fm.variants[0], config=longer),)), 1)
    changed = replace(only_fm, data_hashes=("0" * 8,))
    with pytest.raises(ConfigError, match="data was"):
        run(changed, 1)


def test_another_metric_is_scored_without_training_again(study, only_fm, monkeypatch):
    run(study, 1)
    before = study.scores()
    monkeypatch.setattr("cellflow_cli.study.jobs.train", lambda *_, **__: pytest.fail("trained again"))
    both = replace(study, measure=Measure(metrics=("energy", "w2")))
    assert both.scores().empty
    run(both, 1)
    after = both.scores()
    assert set(after["metric"]) == {"energy", "w2"}
    assert {"identity", "floor"} <= set(after["predictor"])
    keys = ["predictor", "fold", "sample", "treatment"]
    pd.testing.assert_frame_equal(
        after[after["metric"] == "energy"].sort_values(keys).reset_index(drop=True),
        before.sort_values(keys).reset_index(drop=True),
    )
    assert not both.pending()


def test_a_folder_of_other_things_is_left_alone(only_fm):
    """The tables of a comparison have names that a report has too."""
    only_fm.folder.mkdir()
    (only_fm.folder / "scores.csv").write_text("mine")
    with pytest.raises(OutputError, match="found other files"):
        run(only_fm, 1)
    assert [path.name for path in only_fm.folder.iterdir()] == ["scores.csv"]
    assert (only_fm.folder / "scores.csv").read_text() == "mine"


def test_labels_stay_text(tmp_path):
    """A patient called NA is no missing value, and one called 007 no number."""
    file = tmp_path / "scores.csv"
    file.write_text("sample,group,treatment,dose,value\nNA,007,null,,0.5\nP1,P1,drug,1.5,\n")
    table = _read_scores(file)
    assert table.loc[0, ["sample", "group", "treatment"]].tolist() == ["NA", "007", "null"]
    assert table["dose"].isna().tolist() == [True, False]
    assert table["value"].isna().tolist() == [False, True]


def test_a_failed_job_leaves_the_others_and_is_done_on_the_next_call(study, monkeypatch):
    def fails(job):
        if job.variant.name == "fm":
            raise ConfigError("no such thing.")
        return run_job(job)

    monkeypatch.setattr("cellflow_cli.study._study.run_job", fails)
    with pytest.raises(CellflowError, match="2 of 4 jobs failed, first fm, fold 1, seed 0: no such thing"):
        run(study, 1)
    assert set(study.scores()["predictor"]) >= {"mfm"}
    assert [job.variant.name for job in study.pending()] == ["fm", "fm"]


def test_baselines_of_a_failed_job_are_scored_in_another_of_the_fold(study, monkeypatch):
    """The first variant, whose jobs would have scored them, fails everywhere; nothing is trained twice."""
    trained = []

    def fails(job):
        if job.variant.name == "fm":
            raise NumericalError("not finite.")
        return run_job(job)

    def spy(*given, **more):
        trained.append(given)
        return train(*given, **more)

    monkeypatch.setattr("cellflow_cli.study._study.run_job", fails)
    monkeypatch.setattr("cellflow_cli.study.jobs.train", spy)
    failures = []
    with pytest.raises(NumericalError, match="2 of 4 jobs failed") as raised:
        run(study, 1, on_failed=lambda job, error: failures.append((job.title, str(error))))
    assert failures == [(f"fm, fold {i}, seed 0", "not finite.") for i in (1, 2)]
    assert "goes on from there" not in str(raised.value)
    scores = study.scores()
    assert len(trained) == 2
    assert {"mfm", "identity", "floor"} <= set(scores["predictor"])
    assert set(scores[scores["predictor"] == "identity"]["fold"]) == {"1", "2"}


def test_the_figure_is_of_the_first_fold_that_has_a_finished_job(study):
    second = replace(study, variants=study.variants[:1], folds=study.folds[1:])
    run(second, 1)
    (flow,) = flows(study, (0.0, 1.0))
    assert flow.title == "held out: P3, drug"


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
    run(rare := replace(only_fm, data=(file,), folds=tuple(folds[:1])), 1)
    scored = rare.scores()[["group", "treatment"]].drop_duplicates()
    assert list(scored.itertuples(index=False, name=None)) == [("P2", "other")]
    (flow,) = flows(rare, (0.0, 1.0))
    assert flow.title == "held out: P2, other"


def test_side_by_side_gives_the_same_scores(study, tmp_path):
    run(study, 1)
    beside = replace(study, folder=tmp_path / "beside", variants=study.variants[:1])
    run(beside, 2)
    alone = study.scores()
    alone = alone[alone["predictor"] == "fm"].sort_values(["sample", "treatment"])["value"].to_numpy()
    found = beside.scores()
    found = found[found["predictor"] == "fm"].sort_values(["sample", "treatment"])["value"].to_numpy()
    assert found == pytest.approx(alone, rel=1e-4)


def test_the_figure_tells_trained_samples_by_their_label_as_prediction_does(only_fm, common, monkeypatch):
    cgfm = tuple(variants_of_methods(["cgfm"], common))
    fold = replace(only_fm.folds[0], scored=(("held out", ("P1",)), ("train", ("P3",))))
    run(labelled := replace(only_fm, variants=cgfm, folds=(fold,)), 1)
    labels = []

    def spy(*given, label, **more):
        labels.append(label)
        return trajectory(*given, label=label, **more)

    monkeypatch.setattr("cellflow_cli.study.flows.trajectory", spy)
    flows(labelled, (0.0, 1.0))
    known = load(labelled.jobs()[0].folder / "model").shape.samples
    assert labels == [-1, known.index("P3")]


def test_flows_begin_at_the_source_and_end_at_the_prediction(study, only_fm):
    run(only_fm, 1)
    (flow,) = flows(only_fm, (0.0, 0.5, 1.0))
    path = flow.variants["fm"]
    assert flow.title == "held out: P1, drug"
    assert path[0] == pytest.approx(flow.source, abs=1e-4)
    assert path[2].shape == flow.source.shape


def test_seeds_train_other_models_with_the_settings_of_the_arm(only_fm):
    both = replace(only_fm, seeds=(0, 1))
    run(both, 1)
    models = [load(folder / "model") for folder in sorted((only_fm.folder / "jobs").iterdir())]
    assert [model.run["seed"] for model in models] == [0, 1]
    assert [model.config.method.config.solver.steps for model in models] == [2, 2]
    first, second = (model.method.field.out.weight for model in models)
    assert not torch.equal(first, second)


def test_scores_are_measured_as_asked(only_fm, monkeypatch):
    seen = []
    original = jobs.evaluate
    monkeypatch.setattr(
        jobs, "evaluate", lambda *data, **given: seen.append(data[2]) or original(*data, **given)
    )
    measure = Measure(metrics=("energy",), baselines=("ridge",), max_cells=17, all_cells=True, scale=False)
    run(replace(only_fm, measure=measure), 1)
    for how in seen:
        assert (how.max_cells, how.all_cells, how.scale) == (17, True, False)
        assert (how.metrics, how.baselines) == (("energy",), ("ridge",))


def test_rows_without_a_model_are_those_of_the_same_measure(only_fm):
    run(only_fm, 1)
    changed = replace(only_fm, measure=replace(only_fm.measure, max_cells=10))
    run(changed, 1)
    scores = changed.scores()
    assert {"identity", "floor"} <= set(scores["predictor"])
    assert set(scores[scores["predictor"] == "identity"]["n"]) == {10}


def test_of_training_groups_only_marked_samples_are_scored(only_fm, tmp_path, monkeypatch):
    adata = anndata.read_h5ad(only_fm.data[0])
    adata.obs["part"] = np.where(adata.obs["patient"] == "P4", "test", "train")
    adata.obs["plate"] = np.where(np.arange(adata.n_obs) % 2 == 0, "a", "b")
    adata.obs["shown"] = ((adata.obs["patient"] == "P2") & (adata.obs["plate"] == "a")).to_numpy()
    adata.write_h5ad(tmp_path / "parts.h5ad")
    spec = from_dict({**TINY, "data": {**DATA, "sample_key": ["patient", "plate"], "split_key": "part"}}).data
    (fold,) = folds_by_column(adata.obs, spec, "shown", validation=False)
    run(parts := replace(only_fm, data=(tmp_path / "parts.h5ad",), folds=(fold,)), 1)
    scores = parts.scores()
    found = scores[scores["predictor"] == "fm"][["part", "sample"]].drop_duplicates()
    assert set(found.itertuples(index=False, name=None)) == {
        ("train", "P2 | a"), ("test", "P4 | a"), ("test", "P4 | b"),
    }  # fmt: skip


def test_what_a_killed_comparison_left_is_no_job(only_fm):
    """Temporaries have hidden names; one may be whole but for its place, or cut off."""
    run(only_fm, 1)
    (done,) = (only_fm.folder / "jobs").iterdir()
    done.rename(done.with_name(".fm_1_0.ab12cd34"))
    (only_fm.folder / "jobs" / ".other").mkdir()
    (only_fm.folder / "jobs" / ".other" / "job.json").write_text("{")
    run(only_fm, 1)
    assert {"identity", "floor"} <= set(pd.read_csv(done / "scores.csv")["predictor"])


@pytest.mark.parametrize(("file", "content"), [("job.json", "{"), ("job.json", "{}"), ("scores.csv", None)])
def test_a_damaged_job_is_done_again(only_fm, file, content):
    run(only_fm, 1)
    (done,) = (only_fm.folder / "jobs").iterdir()
    before = only_fm.scores()
    if content is None:
        (done / file).unlink()
    else:
        (done / file).write_text(content)
    assert len(only_fm.pending()) == 1
    run(only_fm, 1)
    pd.testing.assert_frame_equal(only_fm.scores(), before)


def test_an_arm_without_memory_leaves_the_others_running(study, monkeypatch):
    original = jobs.train

    def train(*data, method, **how):
        if method.name == "fm":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 EB")
        return original(*data, method=method, **how)

    monkeypatch.setattr(jobs, "train", train)
    with pytest.raises(NumericalError, match="2 of 4 jobs failed.*Expected enough memory"):
        run(study, 1)
    assert {"mfm", "identity"} <= set(study.scores()["predictor"])
