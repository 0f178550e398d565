"""A small cohort to bend: four patients, control and two treatments, six markers."""

import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from cellflow_cli.data.schema import DataSpec


def build_cohort(
    n_cells: int = 25, n_patients: int = 4, n_markers: int = 6, seed: int = 0
) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    rows = [
        (f"P{p}", treatment, f"{treatment}{p}")
        for p in range(1, n_patients + 1)
        for treatment in ("DMSO", "drugA", "drugB")
        for _ in range(n_cells)
    ]
    obs = pd.DataFrame(rows, columns=["patient", "treatment", "well"])
    obs.index = pd.Index([f"cell{i}" for i in range(len(obs))])
    shift = (obs["treatment"] != "DMSO").to_numpy()[:, None]
    x = rng.normal(size=(len(obs), n_markers)) + shift
    var = pd.DataFrame(index=pd.Index([f"marker{i}" for i in range(n_markers)]))
    return anndata.AnnData(X=x.astype(np.float32), obs=obs, var=var)


def build_counts(n_cells: int = 60, n_genes: int = 40, seed: int = 0) -> anndata.AnnData:
    import scipy.sparse as sp

    rng = np.random.default_rng(seed)
    adata = build_cohort(n_cells=n_cells // 12 + 1, n_markers=n_genes, seed=seed)
    rates = rng.gamma(0.6, 2.0, size=n_genes) * rng.lognormal(0, 0.6, size=(adata.n_obs, n_genes))
    adata.X = sp.csr_matrix(rng.poisson(rates).astype(np.float32))
    return adata


@pytest.fixture
def cohort() -> anndata.AnnData:
    return build_cohort()


@pytest.fixture
def counts() -> anndata.AnnData:
    return build_counts(n_cells=240, n_genes=60)


@pytest.fixture
def spec() -> DataSpec:
    return DataSpec(treatment_key="treatment", control=("DMSO",), sample_key=("patient",))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Save an object under a name: `saved(adata, "a.h5ad")`."""

    def save(adata: anndata.AnnData, name: str = "cells.h5ad") -> Path:
        path = tmp_path / name
        if path.suffix == ".zarr":
            with warnings.catch_warnings():  # anndata announces its next default format
                warnings.simplefilter("ignore")
                adata.write_zarr(path)
        else:
            adata.write_h5ad(path)
        return path

    return save
