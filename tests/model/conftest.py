"""A small cohort and models trained on it for a few steps."""

import anndata
import numpy as np
import pandas as pd
import pytest

import cellflow_cli as cf
from cellflow_cli.catalog import Catalog
from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.model import train
from cellflow_cli.networks.field import FieldConfig
from cellflow_cli.training.config import TrainingConfig

TINY = TrainingConfig(steps=12, populations_per_step=2, cells_per_population=12, validate_every=6, patience=0)
FIXED = SolverConfig(steps=4)  # saves the calibration where nothing depends on it
CONDITIONS = [("DMSO", np.nan, 0.0), ("drug", 0.1, 0.5), ("drug", 1.0, 1.0), ("other", np.nan, -1.0)]


def tiny_method(name="mfm", solver=FIXED):
    parts = {"field": FieldConfig(width=16, n_blocks=1), "solver": solver}
    if name == "mfm":
        parts["embedder"] = Catalog("embedders").choose("knn-graph", k=3, reference_cells=24, width=8)
    return Catalog("methods").choose(name, **parts)


def make_cohort(n_patients=5, n=24, n_markers=4, seed=0, conditions=CONDITIONS):
    """Patients with a mean of their own, conditions that shift it; cell type and culture without effect."""
    rng = np.random.default_rng(seed)
    cells, rows = [], []
    for p in range(1, n_patients + 1):
        base = rng.normal(scale=0.3, size=n_markers)
        for treatment, dose, shift in conditions:
            cells.append(rng.normal(size=(n, n_markers)) + base + shift)
            rows += [(f"P{p}", treatment, dose, f"culture{p % 2}")] * n
    obs = pd.DataFrame(rows, columns=["patient", "treatment", "dose", "culture"])
    obs.index = [f"cell{i}" for i in range(len(obs))]
    obs["cell_type"] = rng.choice(["T", "B"], size=len(obs))
    var = pd.DataFrame(index=[f"m{i}" for i in range(n_markers)])
    return anndata.AnnData(np.concatenate(cells).astype(np.float32), obs=obs, var=var)


def make_counts(seed=0, **sizes):
    """The same with counts of 30 genes, sparse."""
    import scipy.sparse as sp

    rng = np.random.default_rng(seed)
    cohort = make_cohort(seed=seed, **sizes)
    rates = np.exp(0.3 * np.asarray(cohort.X) @ rng.normal(size=(cohort.n_vars, 30)) + rng.normal(size=30))
    counts = sp.csr_matrix(rng.poisson(rates).astype(np.float32))
    return anndata.AnnData(counts, obs=cohort.obs, var=pd.DataFrame(index=[f"gene{i}" for i in range(30)]))


def make_spec(**settings):
    base = {
        "treatment_key": "treatment",
        "control": "DMSO",
        "sample_key": "patient",
        "dose_key": "dose",
        "holdout": "patient=P5",
    }
    return cf.DataSpec(**{**base, **settings})


def make_run(spec=None, *, method="mfm", training=TINY, solver=FIXED, seed=0):
    method = tiny_method(method, solver) if isinstance(method, str) else method
    return cf.RunConfig(data=spec or make_spec(), method=method, training=training, seed=seed)


def make_model(
    adata, spec=None, *, method="mfm", training=TINY, solver=FIXED, seed=0, device="cpu", **arguments
):
    run = make_run(spec, method=method, training=training, solver=solver, seed=seed)
    return train(adata, run, device=device, **arguments)


@pytest.fixture(scope="session")
def cohort():
    return make_cohort()


@pytest.fixture(scope="session")
def model(cohort):
    """`mfm` on markers, P5 held out."""
    return make_model(cohort, solver=SolverConfig())


@pytest.fixture(scope="session")
def counts():
    return make_counts()


@pytest.fixture(scope="session")
def pca_model(counts):
    """`mfm` on three principal components of counts, P5 held out."""
    return make_model(counts, make_spec(features="pca:3", expression="counts"), solver=SolverConfig())
