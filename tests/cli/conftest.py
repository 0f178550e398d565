from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from tests.evaluation.conftest import predict, truth

__all__ = ["predict", "truth"]


def small_cohort(
    n_patients: int = 4, n_cells: int = 40, n_markers: int = 5, seed: int = 0
) -> anndata.AnnData:
    """Patients with a shift of their own; treatments `drug` and `other`; markers without meaning."""
    rng = np.random.default_rng(seed)
    cells, rows = [], []
    for patient in range(1, n_patients + 1):
        base = rng.normal(size=n_markers) * 0.3
        for label, shift in (("control", 0.0), ("drug", 1.0), ("other", -0.5)):
            cells.append(rng.normal(size=(n_cells, n_markers)) + base + shift)
            rows += [(f"P{patient}", label)] * n_cells
    obs = pd.DataFrame(rows, columns=["patient", "treatment"])
    obs.index = [f"c{i}" for i in range(len(obs))]
    var = pd.DataFrame(index=[f"m{i}" for i in range(n_markers)])
    return anndata.AnnData(np.concatenate(cells).astype(np.float32), obs=obs, var=var)


@pytest.fixture(scope="session")
def cohort_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "cohort.h5ad"
    small_cohort().write_h5ad(path)
    return path


@pytest.fixture(scope="session")
def model_folder(cohort_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for a few steps with P4 held out."""
    import cellflow_cli as cf

    folder = tmp_path_factory.mktemp("model") / "model"
    spec = cf.DataSpec(
        treatment_key="treatment", control="control", sample_key="patient", holdout="patient=P4"
    )
    training = cf.TrainingConfig(steps=4, validate_every=2)
    cf.train(cf.read([cohort_file]), spec, training=training, device="cpu").save(folder)
    return folder
