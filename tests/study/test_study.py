"""Jobs of one study: each done once, never mixed with jobs of other settings, put together as tables."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from cellflow_cli.errors import ConfigError, OutputError
from cellflow_cli.model import load
from cellflow_cli.study import run
from cellflow_cli.study.study import _read_scores


def test_a_study_trains_every_variant_on_every_fold_and_scores_the_held_out_groups(study):
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


def test_seeds_train_other_models_with_the_settings_of_the_variant(only_fm):
    both = replace(only_fm, seeds=(0, 1))
    run(both, 1)
    models = [load(folder / "model") for folder in sorted((only_fm.folder / "jobs").iterdir())]
    assert [model.run["seed"] for model in models] == [0, 1]
    assert [model.config.method.config.solver.steps for model in models] == [2, 2]
    first, second = (model.method.field.out.weight for model in models)
    assert not torch.equal(first, second)


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


def test_a_folder_of_other_things_is_left_alone(only_fm):
    """The tables of a comparison have names that a report has too."""
    only_fm.folder.mkdir()
    (only_fm.folder / "scores.csv").write_text("mine")
    with pytest.raises(OutputError, match="found other files"):
        run(only_fm, 1)
    assert [path.name for path in only_fm.folder.iterdir()] == ["scores.csv"]
    assert (only_fm.folder / "scores.csv").read_text() == "mine"


def test_an_address_is_no_study_folder(only_fm):
    with pytest.raises(OutputError, match="found the address `s3://bucket/study`"):
        replace(only_fm, folder=Path("s3://bucket/study")).pending()


def test_labels_stay_text(tmp_path):
    """A patient called NA is no missing value, and one called 007 no number."""
    file = tmp_path / "scores.csv"
    file.write_text("sample,group,treatment,dose,value\nNA,007,null,,0.5\nP1,P1,drug,1.5,\n")
    table = _read_scores(file)
    assert table.loc[0, ["sample", "group", "treatment"]].tolist() == ["NA", "007", "null"]
    assert table["dose"].isna().tolist() == [True, False]
    assert table["value"].isna().tolist() == [False, True]


def test_baselines_are_those_of_the_same_scoring(only_fm):
    run(only_fm, 1)
    changed = replace(only_fm, scoring=replace(only_fm.scoring, max_cells=10))
    run(changed, 1)
    scores = changed.scores()
    assert {"identity", "floor"} <= set(scores["predictor"])
    assert set(scores[scores["predictor"] == "identity"]["n"]) == {10}


def test_every_step_is_counted(only_fm):
    """Four steps until validation, and as many again on all groups; none of it is a round number."""
    config = only_fm.variants[0].config
    variant = replace(only_fm.variants[0], config=replace(config, training=replace(config.training, steps=5)))
    run(counted := replace(only_fm, variants=(variant,)), 1)
    model = load(counted.jobs()[0].folder / "model")
    assert max(row["step"] for row in model.history.rows if row["stage"] == "train") == 5
    assert counted.costs()["steps"].iloc[0] > 5


def test_fewer_variants_keep_the_baselines(study):
    """They were scored in a job of a variant that is not in this study."""
    run(study, 1)
    everything = study.scores()
    fewer = replace(study, variants=study.variants[1:])
    done = []
    run(fewer, 1, lambda *_: done.append(1))
    assert done == []
    expected = everything[everything["predictor"] != "fm"].reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer.scores().reset_index(drop=True), expected)


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
