import dataclasses
import json

import numpy as np
import pytest
import scipy.sparse as sp
import typer
from typer.testing import CliRunner

from cellflow_cli.cli.check import check as check_command
from cellflow_cli.data.populations import population_table
from cellflow_cli.data.split import split_groups
from cellflow_cli.data.validation.check import check, check_unfinished
from cellflow_cli.errors import DataError

COLUMNS = ["--treatment-key", "treatment", "--control", "DMSO", "--sample-key", "patient"]


def texts(report, level="error"):
    return [finding.what for finding in report.findings if finding.level == level]


def fixes(report, level="error"):
    return " ".join(finding.fix for finding in report.findings if finding.level == level)


def test_sound_data(cohort, saved, spec):
    report = check([saved(cohort)], dataclasses.replace(spec, holdout=("patient=P2",)))
    assert not report.stops
    assert not texts(report, "warning")
    overview = report.overview
    assert (overview["cells"], overview["features_of_flow"], overview["groups"]) == (300, 6, 4)
    assert overview["treatments"] == ["drugA", "drugB"]
    assert overview["control"] == {
        "populations": 4, "cells": 100, "smallest": 25, "median": 25.0, "largest": 25,
    }  # fmt: skip
    assert overview["treated"]["populations"] == 8
    assert overview["split"] == {"train": ["P1", "P3", "P4"], "val": [], "test": ["P2"]}
    assert overview["memory_gib"] > 0
    assert overview["prepare_seconds"] > 0
    assert {row["split"] for row in report.populations if row["sample"] == "P2"} == {"test"}
    json.dumps(overview, allow_nan=False)


def test_everything_wrong_is_found_at_once(cohort, saved, spec):
    cohort.X[10, 2] = np.nan
    cohort.X[:, 4] = 1.5
    names = [*cohort.var_names[:-1], "marker0"]
    keep = ~((cohort.obs["patient"] == "P2") & (cohort.obs["treatment"] == "DMSO")).to_numpy()
    keep[np.flatnonzero((cohort.obs["patient"] == "P3") & (cohort.obs["treatment"] == "drugB"))[3:]] = False
    broken = cohort[keep].copy()
    broken.var_names = names
    report = check([saved(broken)], dataclasses.replace(spec, holdout=("patient=P7",)))
    assert report.stops
    found = " ".join(texts(report))
    assert "unique var names" in found
    assert "1 that are NaN or infinite, the first in cell 'cell10', feature 'marker2'" in found
    assert "Expected 'P7'" in found
    report = check([saved(broken)], spec)
    found = " ".join(texts(report))
    assert "unique var names" in found
    assert "none for 2 of 8: 'P2, drugA', 'P2, drugB'" in found
    assert "'P3, drugB (3 cells)'" in found
    assert "--drop-unpaired" in fixes(report)
    assert "--drop-small" in fixes(report)


def test_what_the_user_lets_go_is_a_warning(cohort, saved, spec):
    few = cohort[24:].copy()
    path = saved(few)
    assert check([path], spec).stops
    report = check([path], dataclasses.replace(spec, drop_small=True))
    assert not report.stops
    assert "'P1, control (1 cells)'" in texts(report, "warning")[0]
    assert report.overview["groups"] == 3


def test_an_error_of_check_is_the_error_of_training(cohort, saved, spec):
    obs = cohort.obs.drop(index=cohort.obs.index[3:25])
    few = cohort[obs.index].copy()
    (finding,) = [f for f in check([saved(few)], spec).findings if f.level == "error"]
    with pytest.raises(DataError) as caught:
        population_table(few.obs, spec)
    assert str(caught.value) == f"{finding.what} {finding.fix}"


def test_the_share_of_treated_cells_with_a_partner_is_noted(cohort, saved, spec):
    number = cohort.obs.groupby(["patient", "treatment"]).cumcount()
    spec = dataclasses.replace(spec, pairs_key="pair", holdout=("patient=P2",))
    for n, share in ((25, None), (5, "30 of 150 treated cells for training (20.0%)")):
        cohort.obs["pair"] = number.where((number < n) | (cohort.obs["patient"] == "P2"))
        notes = " ".join(texts(check([saved(cohort)], spec), "note"))
        assert share in notes if share else "partner" not in notes
    cohort.obs["pair"] = range(cohort.n_obs)
    (error,) = texts(check([saved(cohort)], spec))
    assert "share values" in error


def test_leaks_between_splits(cohort, saved, spec):
    cohort.obs["split"] = np.where(np.arange(cohort.n_obs) < 40, "train", "test")
    report = check([saved(cohort)], dataclasses.replace(spec, split_key="split"))
    assert report.stops
    assert "leak between splits" in fixes(report)


def test_the_split_is_the_one_of_training(cohort, saved, spec):
    spec = dataclasses.replace(spec, holdout=("0.5",))
    for seed in range(3):
        split = split_groups(cohort.obs, spec, population_table(cohort.obs, spec), seed)
        assert check([saved(cohort)], spec, seed).overview["split"]["test"] == list(split.test)


def test_a_treatment_that_is_only_held_out(cohort, saved, spec):
    keep = (cohort.obs["treatment"] != "drugB") | (cohort.obs["patient"] == "P4")
    report = check([saved(cohort[keep].copy())], dataclasses.replace(spec, holdout=("patient=P4",)))
    assert not report.stops
    assert "'drugB' held out only" in texts(report, "warning")[0]


@pytest.mark.parametrize("validated", [True, False])
def test_one_training_group_is_enough_where_another_validates(cohort, saved, spec, validated):
    part = dict.fromkeys(cohort.obs["patient"].unique(), "test") | {
        "P1": "train",
        "P2": "val" if validated else "test",
    }
    cohort.obs["split"] = cohort.obs["patient"].map(part).astype(str)
    report = check([saved(cohort)], dataclasses.replace(spec, split_key="split"))
    assert ("so that one can validate, found 1" in " ".join(texts(report, "warning"))) is not validated


def test_constant_features_are_named(cohort, saved, spec):
    cohort.X[:, 4] = 1.5
    path = saved(cohort)
    assert "1 of 6 features are constant: 'marker4'" in texts(check([path], spec), "warning")[0]
    other = cohort.copy()
    other.X[:, 4] = 2.5
    assert not texts(check([path, saved(other, "b.h5ad")], spec), "warning")


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [(np.asarray, ".h5ad"), (sp.csr_matrix, ".h5ad"), (sp.csc_matrix, ".h5ad"), (sp.csr_matrix, ".zarr")],
)
def test_counts_are_recognised(counts, saved, spec, kind, suffix):
    counts.X = kind(counts.X.toarray())
    path = saved(counts, f"cells{suffix}")
    assert "raw counts?" in texts(check([path], spec), "warning")[0]
    pca = dataclasses.replace(spec, features="pca:5", expression="counts")
    report = check([path], pca)
    assert not report.stops
    assert report.overview["looks_like"] == "counts"
    assert report.overview["features_of_flow"] == 5
    report = check([path], dataclasses.replace(pca, expression="log1p"))
    assert "--expression counts" in fixes(report)


def test_log1p_is_recognised(counts, saved, spec):
    counts.X = counts.X.log1p()
    spec = dataclasses.replace(spec, features="pca:5", expression="counts")
    assert "--expression log1p" in fixes(check([saved(counts)], spec))


def test_cells_without_counts(counts, saved, spec):
    dense = counts.X.toarray()
    dense[[3, 9]] = 0
    counts.X = sp.csr_matrix(dense)
    spec = dataclasses.replace(spec, features="pca:5", expression="counts")
    assert "found 2 cells without any" in texts(check([saved(counts)], spec), "warning")[0]


def test_too_many_features_propose_pca(spec, saved):
    import anndata

    wide = anndata.AnnData(sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (30, 201)).astype(np.float32)))
    report = check_unfinished([saved(wide)])
    assert "--features pca:50 --expression counts" in fixes(report)


def test_too_many_components(cohort, saved, spec):
    spec = dataclasses.replace(spec, features="pca:6", expression="as-is")
    assert "--features pca:K" in fixes(check([saved(cohort)], spec))


def test_a_layer_that_is_not_there(cohort, saved, spec):
    cohort.layers["raw"] = cohort.X
    report = check([saved(cohort)], dataclasses.replace(spec, features="layers/rwa"))
    assert "Did you mean 'raw'" in fixes(report)
    assert report.overview["groups"] == 4


def test_obsm_is_surveyed(cohort, saved, spec):
    cohort.obsm["X_scvi"] = cohort.X[:, :3].copy()
    cohort.obsm["X_scvi"][4, 1] = np.inf
    report = check([saved(cohort)], dataclasses.replace(spec, features="obsm/X_scvi"))
    assert "cell 'cell4', feature 'X_scvi_2'" in texts(report)[0]


def test_one_bad_file_does_not_hide_the_others(cohort, saved, spec, tmp_path):
    bad = tmp_path / "bad.h5ad"
    bad.write_text("no")
    report = check([saved(cohort), bad, tmp_path / "gone.h5ad"], spec)
    assert sum("bad.h5ad" in t or "gone.h5ad" in t for t in texts(report)) == 2
    assert report.overview["groups"] == 4
    assert check([bad], spec).stops


def test_files_that_share_few_features(cohort, saved, spec):
    other = cohort[:, :3].copy()
    report = check([saved(cohort, "a.h5ad"), saved(other, "b.h5ad")], spec)
    assert "found 3 in common" in texts(report, "warning")[0]
    other.var_names = ["x", "y", "z"]
    report = check([saved(cohort, "a.h5ad"), saved(other, "b.h5ad")], spec)
    assert "found 0 in common" in " ".join(texts(report))


def test_labels_that_look_like_slips(cohort, saved, spec):
    cohort.obs.loc[cohort.obs["patient"] == "P4", "patient"] = "nan"
    cohort.obs["dose"] = 0.0
    report = check([saved(cohort)], dataclasses.replace(spec, dose_key="dose"))
    found = " ".join(texts(report, "warning"))
    assert "found 'nan' in 75 cells: missing values" in found
    assert "found 0" in found


def test_labels_alike_but_for_case_stop(cohort, saved, spec):
    cohort.obs.loc[(cohort.obs["treatment"] == "drugB") & (cohort.obs["patient"] == "P1"), "treatment"] = (
        "DrugB"
    )
    report = check([saved(cohort)], spec)
    assert report.stops
    assert "found 'drugB' (75 cells) and 'DrugB' (25 cells), alike but for case" in " ".join(texts(report))
    assert "`--rename treatment:drugB=DrugB`" in fixes(report)


def test_required_settings_are_never_guessed_but_named(cohort, saved):
    report = check_unfinished([saved(cohort)])
    assert report.stops
    assert "`--treatment-key treatment` (it contains 'DMSO')" in fixes(report)
    assert '`--control DMSO` (in `obs["treatment"]`)' in fixes(report)
    assert "`--sample-key patient`" in fixes(report)
    assert len(texts(report)) == 3
    only = check_unfinished([saved(cohort)], treatment_key="treatment", sample_key=("patient",))
    assert len(texts(only)) == 1


def test_the_file_is_not_changed(cohort, saved, spec):
    path = saved(cohort)
    before = path.read_bytes()
    check([path], spec)
    assert path.read_bytes() == before


@pytest.fixture
def app():
    made = typer.Typer()
    made.command()(check_command)
    return made


def test_the_command_ends_with_0_where_training_can_start(app, cohort, saved):
    result = CliRunner().invoke(app, [str(saved(cohort)), *COLUMNS])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "Training can start: 0 error(s)" in result.stderr
    assert "drugA" in result.stderr


def test_the_command_ends_with_3_where_training_would_stop(app, cohort, saved):
    result = CliRunner().invoke(app, [str(saved(cohort)), *COLUMNS, "--min-cells", "26"])
    assert result.exit_code == 3
    assert "--drop-small" in result.stderr
    assert "Training would stop: 1 error(s)" in result.stderr


def test_the_command_without_settings_names_the_likely_ones(app, cohort, saved):
    result = CliRunner().invoke(app, [str(saved(cohort))])
    assert result.exit_code == 3
    assert "--treatment-key treatment" in result.stderr


def test_the_command_writes_one_json_object(app, cohort, saved):
    options = ["--json", "--holdout", "patient=P1", "--control", "drugB"]
    result = CliRunner().invoke(app, [str(saved(cohort)), *COLUMNS, *options])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["ok"] is True
    assert found["overview"]["treatments"] == ["drugA"]
    assert found["overview"]["split"]["test"] == ["P1"]
    assert len(found["populations"]) == 8


def test_help_is_grouped_and_shows_defaults(app):
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "160"}).stdout
    for word in ("Input", "Output", "Compute", "--drop-unpaired", "pca:K", "(20)"):
        assert word in text


def test_the_module_of_the_command_is_light():
    import subprocess
    import sys

    code = "import sys, cellflow_cli.cli.check; print({'torch', 'anndata', 'pandas'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_a_replicate_column_without_a_value_is_of_no_use(cohort, saved, spec):
    cohort.obs["well"] = np.nan
    (warning,) = [
        f
        for f in check([saved(cohort)], dataclasses.replace(spec, batch_key="well")).findings
        if "well" in f.what
    ]
    assert warning.level == "warning"
