import inspect
import json
from dataclasses import fields

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

from cellflow_cli.cli import simulate as command
from cellflow_cli.errors import ConfigError, OutputError
from cellflow_cli.simulate.cohort import CohortConfig, simulate_cohort
from cellflow_cli.simulate.gaussians import GaussiansConfig

SMALL = ["--patients", "2", "--markers", "21", "--min-cells", "5", "--max-cells", "8"]


def run(*args):
    return CliRunner().invoke(command.app, [str(arg) for arg in args])


def test_cohort_writes_one_file_that_reads_back(tmp_path):
    target = tmp_path / "new" / "cohort.h5ad"

    result = run("cohort", "-o", target, "--seed", "4", *SMALL)

    assert result.exit_code == 0, result.output
    assert [path.name for path in target.parent.iterdir()] == ["cohort.h5ad"]
    config = CohortConfig(n_patients=2, n_markers=21, min_cells=5, max_cells=8)
    written = anndata.read_h5ad(target)
    np.testing.assert_array_equal(written.X, simulate_cohort(config, 4).X)
    assert json.loads(written.uns["simulation"])["seed"] == 4


def test_same_command_same_bytes(tmp_path):
    for name in ("a.h5ad", "b.h5ad"):
        run("cohort", "-o", tmp_path / name, *SMALL)

    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()


def test_json_is_one_object_on_stdout(tmp_path):
    result = run("gaussians", "-o", tmp_path / "g.h5ad", "--populations", 3, "--cells", 20, "--json")

    found = json.loads(result.stdout)
    assert found["n_cells"] == 3 * 2 * 20
    assert found["treatments"] == ["control", "moved"]
    assert found["simulated"] is True
    assert anndata.read_h5ad(tmp_path / "g.h5ad").shape == (120, 3)


def test_an_existing_file_is_kept_unless_forced(tmp_path):
    target = tmp_path / "cohort.h5ad"
    target.write_text("mine")

    result = run("cohort", "-o", target, *SMALL)
    assert result.exit_code == OutputError.exit_code
    assert "--force" in result.stderr
    assert target.read_text() == "mine"

    assert run("cohort", "-o", target, "--force", *SMALL).exit_code == 0
    assert anndata.read_h5ad(target).n_vars == 21


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    result = run("gaussians", "-o", tmp_path / "file" / "g.h5ad")

    assert result.exit_code == OutputError.exit_code
    assert "g.h5ad" in result.stderr


@pytest.mark.parametrize(("alphabet", "said"), [("XY", True), ("XYZ", False)])
def test_letters_without_one_to_train_on_are_remarked(tmp_path, alphabet, said):
    result = run("letters", "-o", tmp_path / "l.h5ad", "--alphabet", alphabet, "--size", 8, "--rotations", 1)

    assert result.exit_code == 0, result.output
    assert ("none is left to train on" in result.stderr) is said


def test_nothing_is_left_behind_when_writing_fails(tmp_path, monkeypatch):
    def full(self, path, **_):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(anndata.AnnData, "write_h5ad", full)
    result = run("cohort", "-o", tmp_path / "c.h5ad", *SMALL)

    assert result.exit_code == OutputError.exit_code
    assert "No space left" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--markers", 3], "`n_markers` to be between 20 and 200, found 3"),
        (["--signalling", 2], "`signalling` to be between 0 and 1"),
        (["--min-cells", 500], "`max_cells` to be at least"),
    ],
)
def test_bad_sizes_are_refused_before_anything_is_written(tmp_path, args, message):
    result = run("cohort", "-o", tmp_path / "c.h5ad", *args)

    assert result.exit_code == ConfigError.exit_code
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_file_is_refused(tmp_path):
    result = run("cohort", "-o", tmp_path / "cohort.csv")

    assert result.exit_code == ConfigError.exit_code
    assert ".h5ad" in result.stderr


@pytest.mark.parametrize(
    ("function", "config", "names"),
    [
        (command.cohort, CohortConfig, {"patients": "n_patients", "markers": "n_markers"}),
        (
            command.gaussians,
            GaussiansConfig,
            {"populations": "n_populations", "features": "n_features", "cells": "n_cells"},
        ),
    ],
)
def test_defaults_and_help_are_those_of_the_config(function, config, names):
    """Help must not load AnnData, so the defaults stand twice; here they are held together."""
    known = {field.name: field for field in fields(config)}
    checked = 0
    for name, parameter in inspect.signature(function).parameters.items():
        field = known.get(names.get(name, name))
        if field is not None:
            assert parameter.default == field.default
            checked += 1
    assert checked >= 3
    assert all(field.metadata["help"] for field in known.values())
