"""Jobs are done once, side by side or not, and never mixed with jobs of other settings."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from cellflow_cli.errors import CellflowError, ConfigError, OutputError
from cellflow_cli.study import Measure, run
from cellflow_cli.study._study import _read_scores
from cellflow_cli.study.flows import flows
from cellflow_cli.study.jobs import run_job


def test_a_study_trains_every_arm_on_every_fold_and_scores_the_held_out_groups(study):
    seen = []
    run(study, 1, lambda done, total, job, facts: seen.append((done, total, job.title)))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4]
    scores = study.scores()
    assert list(scores["row"].unique()[:2]) == ["fm", "mfm"]
    assert {"identity", "mean-shift", "floor"} <= set(scores["row"])
    for row in ("fm", "mfm", "identity"):
        lines = scores[scores["row"] == row]
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
    wider = replace(only_fm, arms=study.arms)
    done = []
    run(wider, 1, lambda _d, _t, job, _f: done.append(job.title))
    assert done == ["mfm, fold 1, seed 0"]
    after = wider.scores()
    kept = after[after["row"] != "mfm"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before.reset_index(drop=True))


def test_other_settings_never_share_a_table(only_fm):
    run(only_fm, 1)
    other = replace(only_fm, measure=Measure(metrics=("w2",)))
    with pytest.raises(ConfigError, match="measure.metrics was .*energy.* and is .*w2"):
        run(other, 1)
    changed = replace(only_fm, data_hashes=("0" * 8,))
    with pytest.raises(ConfigError, match="data was"):
        run(changed, 1)


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
        if job.arm.name == "fm":
            raise ConfigError("no such thing.")
        return run_job(job)

    monkeypatch.setattr("cellflow_cli.study._study.run_job", fails)
    with pytest.raises(CellflowError, match="2 of 4 jobs failed, first fm, fold 1, seed 0: no such thing"):
        run(study, 1)
    assert set(study.scores()["row"]) >= {"mfm"}
    assert [job.arm.name for job in study.pending()] == ["fm", "fm"]


def test_side_by_side_gives_the_same_scores(study, tmp_path):
    run(study, 1)
    beside = replace(study, folder=tmp_path / "beside", arms=study.arms[:1])
    run(beside, 2)
    alone = study.scores()
    alone = alone[alone["row"] == "fm"].sort_values(["sample", "treatment"])["value"].to_numpy()
    found = beside.scores()
    found = found[found["row"] == "fm"].sort_values(["sample", "treatment"])["value"].to_numpy()
    assert found == pytest.approx(alone, rel=1e-4)


def test_flows_begin_at_the_source_and_end_at_the_prediction(study, only_fm):
    run(only_fm, 1)
    (flow,) = flows(only_fm, (0.0, 0.5, 1.0))
    path = flow.arms["fm"]
    assert flow.title == "held out: P1, drug"
    assert path[0] == pytest.approx(flow.source, abs=1e-4)
    assert path[2].shape == flow.source.shape
