"""Definitions of other projects against what those projects compute: `make_definitions.py` tells how."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.metrics import Comparison
from cellflow_cli.published_metrics import find, metrics_of
from tests.reference.make_definitions import STORED, arrays

PROJECTS = Catalog("published_metrics").names()
CASES = ("signed", "genes")
SCRIPT = Path(__file__).with_name("make_definitions.py")


def ours(project, case):
    given = {name: torch.as_tensor(cells) for name, cells in arrays(case).items()}
    comparison = Comparison(
        **{role: given[role] for role in ("predicted", "target", "control")},
        other_targets=torch.stack([given[f"other{i}"].mean(0) for i in range(3)]),
    )
    return {name.split(":")[1]: find(name).function(comparison).value for name in metrics_of(project)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("project", PROJECTS)
def test_the_stored_numbers(project, case):
    stored = json.loads(STORED.read_text(encoding="utf-8"))[project]
    if not (usual := stored["usual"][case]):
        pytest.skip(f"{project} refuses these cells")
    found = ours(project, case)
    assert set(found) == set(usual)
    assert found == pytest.approx(usual, rel=1e-4)  # where they are float32, sums of it
    assert found == pytest.approx(stored.get("exact", stored["usual"])[case], rel=1e-9)


def test_every_project_accepts_one_of_the_cases():
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert all(any(stored[project]["usual"][case] for case in CASES) for project in PROJECTS)


@pytest.mark.slow
@pytest.mark.parametrize("project", PROJECTS)
def test_the_numbers_of_packages_that_are_here(project):
    """With DEFINITIONS_PYTHON an interpreter beside which the packages of the projects are installed."""
    python = os.environ.get("DEFINITIONS_PYTHON", sys.executable)
    environment = {**os.environ, "JAX_ENABLE_X64": "1"}
    command = [python, str(SCRIPT), "--print", project]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1]
        if "ModuleNotFoundError" in last or "PackageNotFoundError" in last:
            pytest.skip(f"NOT COMPARED with {project}: {last}. Stored numbers are compared.")
        pytest.fail(done.stderr)
    theirs = json.loads(done.stdout.splitlines()[-1])
    for case in CASES:
        if theirs[case]:
            assert ours(project, case) == pytest.approx(theirs[case], rel=1e-9)
