"""`cellflow evaluate --fail-if-worse-than` as it is typed."""

import anndata
import pytest

from tests.cli.test_evaluate import QUICK, run


@pytest.fixture
def files(tmp_path, truth, predict):
    truth.write_h5ad(tmp_path / "truth.h5ad")
    predict(truth).write_h5ad(tmp_path / "pred.h5ad")
    predict(truth, moved=lambda cells, *_: cells).write_h5ad(tmp_path / "nothing.h5ad")
    return tmp_path


def test_the_command_ends_with_7_after_the_whole_report(files):
    passed = run(files, *QUICK, "--fail-if-worse-than", "identity")
    assert passed.exit_code == 0, passed.output
    assert "Not worse than identity: energy " in passed.stderr
    failed = run(files, *QUICK, "--fail-if-worse-than", "mean-shift", pred="nothing.h5ad", out="bad")
    assert failed.exit_code == 7
    assert "better on 0 of 2 groups" in failed.stderr
    assert {path.name for path in (files / "bad").iterdir()} == {"scores.csv", "summary.json"}
    other = run(
        files,
        *QUICK,
        "--fail-if-worse-than",
        "mean-shift",
        "--metric",
        "r2-mean",
        pred="nothing.h5ad",
        out="r2",
    )
    assert other.exit_code == 7
    assert "found r2-mean " in other.stderr


def test_a_metric_without_values_does_not_hide_the_bar(files):
    alone = anndata.read_h5ad(files / "truth.h5ad")
    alone[alone.obs["treatment"].isin(["DMSO", "other"])].write_h5ad(files / "truth.h5ad")
    options = ("--metrics", "energy,discrimination", "--fail-if-worse-than", "mean-shift", "--no-page")
    assert run(files, *options, pred="nothing.h5ad").exit_code == 7
    passed = run(files, *options, out="again")
    assert passed.exit_code == 9
    assert "Not worse than mean-shift" in passed.stderr


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--fail-if-worse-than", "idntity"), 2, "Did you mean 'identity'"),
        (("--fail-if-worse-than", "ridge", "--metric", "w1"), 2, "that are scored"),
        (("--metric", "energy"), 2, "--fail-if-worse-than BASELINE"),
        (("--fail-if-worse-than", "ot-neighbour"), 9, "no value of the baseline"),
    ],
)
def test_what_cannot_be_done_is_an_error(files, options, code, text):
    result = run(files, *QUICK, *options)
    assert result.exit_code == code
    assert text in result.stderr
    assert (files / "report").exists() == (code == 9)
