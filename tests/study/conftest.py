from dataclasses import replace
from pathlib import Path

import pytest

from cellflow_cli.config import from_dict
from cellflow_cli.data.read import read_obs
from cellflow_cli.data.unchanged import file_hashes
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.study import Study, folds_by_group, variants_of_methods
from tests.cli.conftest import small_cohort

TINY = {
    "training": {"steps": 4, "validate_every": 2, "populations_per_step": 2, "cells_per_population": 8},
    "method": {"solver": {"steps": 2}},
}
DATA = {"treatment_key": "treatment", "control": "control", "sample_key": "patient"}


@pytest.fixture(scope="session")
def cohort_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "cohort.h5ad"
    small_cohort().write_h5ad(path)
    return path


@pytest.fixture
def common() -> dict:
    return {**TINY, "data": DATA}


@pytest.fixture
def study(cohort_file: Path, common: dict, tmp_path: Path) -> Study:
    """Two methods on two folds of two patients, one seed."""
    return Study(
        variants=tuple(variants_of_methods(["fm", "mfm"], common)),
        folds=tuple(folds_by_group(read_obs([cohort_file]), from_dict(common).data, 2)),
        seeds=(0,),
        data=(cohort_file,),
        data_hashes=tuple(file_hashes([cohort_file]).values()),
        scoring=EvaluationConfig(metrics=("energy",)),
        folder=tmp_path / "study",
        device="cpu",
    )


@pytest.fixture
def only_fm(study: Study) -> Study:
    return replace(study, variants=study.variants[:1], folds=study.folds[:1])


def on_file(study: Study, path: Path, **changes: object) -> Study:
    """The same study on another file."""
    return replace(study, data=(path,), data_hashes=tuple(file_hashes([path]).values()), **changes)
