"""Files of one run held against each other; the same findings from paths and from memory."""

import dataclasses

import numpy as np
import pytest

from cellflow_cli.data.read import read
from cellflow_cli.data.validation.check import check, check_object


def warnings_of(report):
    return [finding.what for finding in report.findings if finding.level == "warning"]


@pytest.fixture
def markers(cohort):
    level = np.random.default_rng(3).uniform(2, 4, cohort.n_vars)
    cohort.X = (np.abs(0.5 * cohort.X + level)).astype(np.float32)
    return cohort


def plates(adata, saved, change):
    one = adata.obs["patient"].isin(["P1", "P2"]).to_numpy()
    other = adata[~one].copy()
    other.X = np.asarray(change(other.X), dtype=np.float32)
    return [saved(adata[one].copy(), "one.h5ad"), saved(other, "other.h5ad")]


def test_files_of_other_patients_raise_nothing(markers, saved, spec):
    assert warnings_of(check(plates(markers, saved, lambda x: x), spec)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: 5 * np.sinh(x), "one scale in all files"),
        (lambda x: np.arcsinh(np.sinh(x) / 30), "one scale in all files"),
        (lambda x: x / np.log(2), "one scale in all files"),
        (lambda x: np.round(20 * x), "whole numbers"),
        (lambda x: (x - x.mean(0)) / x.std(0), "below zero"),
    ],
)
def test_a_file_on_another_scale_is_named(markers, saved, spec, change, says):
    (found,) = warnings_of(check(plates(markers, saved, change), spec))
    assert says in found
    assert "`one.h5ad`" in found
    assert "`other.h5ad`" in found


def test_a_feature_that_one_file_lacks(markers, saved, spec):
    def silenced(x):
        return np.where(np.arange(x.shape[1]) == 2, 0, x)

    (found,) = warnings_of(check(plates(markers, saved, silenced), spec))
    assert "zero throughout `other.h5ad` and vary in other files: 'marker2'" in found


def test_a_file_and_its_copy(markers, saved, spec):
    paths = [saved(markers, "a.h5ad"), saved(markers[::-1].copy(), "b.h5ad")]
    found = warnings_of(check(paths, spec))
    assert any(
        "300 cells both in `a.h5ad` and in `b.h5ad`. Every cell of both counts twice" in w for w in found
    )


def test_the_same_cells_in_two_populations(markers, saved, spec):
    populations = {"c1": ("P1", "DMSO"), "c2": ("P2", "DMSO"), "t3": ("P3", "drugA"), "c3": ("P3", "DMSO")}
    rows = {
        name: np.flatnonzero((markers.obs["patient"] == p) & (markers.obs["treatment"] == t))
        for name, (p, t) in populations.items()
    }
    twin = markers.copy()
    twin.X[rows["c2"]] = twin.X[rows["c1"]]
    report = check_object(twin, spec)
    assert "'P1, control' and 'P2, control' (25 cells)" in warnings_of(report)[0]
    still = markers.copy()
    still.X[rows["t3"]] = still.X[rows["c3"]]
    assert "'P3, control' and 'P3, drugA'" in warnings_of(check_object(still, spec))[0]


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_faults_of_held_out_cells_are_warnings_that_name_them(counts, saved, spec, value):
    counts.X = counts.X.toarray()
    counts.X[np.flatnonzero(counts.obs["patient"] == "P2")[0], 1] = value
    spec = dataclasses.replace(spec, features="pca:3", expression="counts")
    path = saved(counts)
    for report in (check([path], spec), check_object(read([path]), spec)):
        assert report.stops
    aside = dataclasses.replace(spec, holdout=("patient=P2",))
    for report in (check([path], aside), check_object(read([path]), aside)):
        assert not report.stops
        assert "not trained on (patient 'P2')" in warnings_of(report)[0]


def test_paths_and_memory_give_the_same_findings(markers, saved, spec):
    markers.X[:, 4] = 1.5
    markers.X[3, 2] = np.nan
    path = saved(markers)
    assert check([path], spec).findings == check_object(read([path]), spec).findings


def test_populations_of_equal_cells_are_named(markers, saved, spec):
    controls = (markers.obs["treatment"] == "DMSO").to_numpy()
    one = markers.copy()
    one.X[controls & (markers.obs["patient"] == "P1").to_numpy()] = 2
    assert [w for w in warnings_of(check_object(one, spec)) if "all the same" in w] == [
        "Expected cells that differ from each other, found 1 population(s) whose cells are all the same: "
        "'P1, control'."
    ]
    some = markers.copy()
    some.X[controls] = 2
    (warning,) = [w for w in warnings_of(check_object(some, spec)) if "same" in w]  # and no copies
    assert "P1, control" in warning
    assert "P2, control" in warning
    assert not any("all the same" in w for w in warnings_of(check_object(markers, spec)))


def test_features_of_which_none_varies_are_an_error(markers, saved, spec):
    markers.X[:] = 0
    report = check_object(markers, spec)
    assert report.stops
    assert any("one value throughout" in f.what for f in report.findings if f.level == "error")
