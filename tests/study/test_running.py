"""Jobs are done once, in parallel or not; one that fails leaves the others running."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cellflow_cli.errors import NumericalError, OutputError
from cellflow_cli.model import load
from cellflow_cli.study import run
from cellflow_cli.study.job import run_job


def test_finished_jobs_are_not_done_again_and_another_variant_adds_its_own(study, only_fm):
    run(only_fm, 1)
    before = only_fm.scores()
    wider = replace(only_fm, variants=study.variants)
    done = []
    run(wider, 1, lambda _d, _t, job, _f: done.append(job.title))
    assert done == ["mfm, fold 1, seed 0"]
    after = wider.scores()
    kept = after[after["predictor"] != "mfm"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before.reset_index(drop=True))


def test_where_no_finished_job_has_them_one_is_done_again(study):
    run(study, 1)
    for folder in (study.folder / "jobs").glob("fm_*"):
        shutil.rmtree(folder)
    fewer = replace(study, variants=study.variants[1:])
    assert [job.title for job in fewer.pending()] == ["mfm, fold 1, seed 0", "mfm, fold 2, seed 0"]
    run(fewer, 1)
    assert {"identity", "floor"} <= set(fewer.scores()["predictor"])


def test_another_metric_is_scored_without_training_again(study):
    run(study, 1)
    before, trained = study.scores(), _trainings(study)
    both = replace(study, scoring=replace(study.scoring, metrics=("energy", "w2")))
    assert both.scores().empty
    run(both, 1)
    after = both.scores()
    assert _trainings(study) == trained
    assert set(after["metric"]) == {"energy", "w2"}
    assert {"identity", "floor"} <= set(after["predictor"])
    keys = ["predictor", "fold", "sample", "treatment"]
    pd.testing.assert_frame_equal(
        after[after["metric"] == "energy"].sort_values(keys).reset_index(drop=True),
        before.sort_values(keys).reset_index(drop=True),
    )
    assert not both.pending()


def _trainings(study):
    """When each model was trained, and for how long: another training has other times."""
    return {job.title: load(job.folder / "model").run for job in study.jobs()}


def without_fm(job):
    if job.variant.name == "fm":
        raise NumericalError("not finite.")
    return run_job(job)


def test_a_failed_job_leaves_the_others_and_is_done_on_the_next_call(study):
    with pytest.raises(NumericalError, match="2 of 4 jobs failed, first fm, fold 1, seed 0: not finite"):
        run(study, 1, do=without_fm)
    assert set(study.scores()["predictor"]) >= {"mfm"}
    assert [job.variant.name for job in study.pending()] == ["fm", "fm"]


def test_baselines_of_a_failed_job_are_scored_in_another_of_the_fold(study):
    """The first variant, whose jobs would have scored them, fails everywhere; nothing is trained twice."""
    failures, trained = [], []

    def watched(job):
        facts = without_fm(job)
        trained.append((facts["fold"], facts["run"]["wall_time_s"], facts["seconds"]["train"]))
        return facts

    with pytest.raises(NumericalError, match="2 of 4 jobs failed"):
        run(study, 1, on_failed=lambda job, error: failures.append((job.title, str(error))), do=watched)
    assert failures == [(f"fm, fold {i}, seed 0", "not finite.") for i in (1, 2)]
    assert len(trained) == 4  # two trainings, then two that only score
    assert len(set(trained)) == 2
    scores = study.scores()
    assert {"mfm", "identity", "floor"} <= set(scores["predictor"])
    assert set(scores[scores["predictor"] == "identity"]["fold"]) == {"1", "2"}


def test_a_variant_without_memory_leaves_the_others_running(study):
    def run_out(job):
        if job.variant.name == "fm":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 EB")
        return run_job(job)

    with pytest.raises(NumericalError, match="2 of 4 jobs failed.*Expected enough memory"):
        run(study, 1, do=run_out)
    assert {"mfm", "identity"} <= set(study.scores()["predictor"])


def killed(job):
    """What a machine does that has run out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_no_bug_and_loses_nothing(study):
    with pytest.raises(OutputError, match=r"4 of 4 jobs failed.*found it killed.*--jobs 1"):
        run(study, 2, do=killed)


def test_side_by_side_gives_the_same_scores(study, tmp_path):
    run(study, 1)
    beside = replace(study, folder=tmp_path / "beside", variants=study.variants[:1])
    run(beside, 2)
    alone = study.scores()
    alone = alone[alone["predictor"] == "fm"].sort_values(["sample", "treatment"])["value"].to_numpy()
    found = beside.scores()
    found = found[found["predictor"] == "fm"].sort_values(["sample", "treatment"])["value"].to_numpy()
    assert found == pytest.approx(alone, rel=1e-4)


def test_a_worker_ends_with_its_parent():
    """The parent is killed; the worker would wait for work for ever."""
    code = (
        "import concurrent.futures as f, multiprocessing as m, os, time\n"
        "from cellflow_cli.study.running import _begin\n"
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
