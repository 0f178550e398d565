"""Real cells, where they are at hand: the folder CELLFLOW_DATA, or ../shared/data."""

import os
from pathlib import Path

import numpy as np
import pytest

from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.populations import population_table
from cellflow_cli.data.read import read
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.validation.check import check

FOLDER = Path(os.environ.get("CELLFLOW_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real(name):
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"{name} is not at hand")
    return path


@pytest.mark.data
def test_mass_cytometry_of_eight_donors():
    path = real("small_bcrxl.h5ad")
    spec = DataSpec(
        treatment_key="treatment", control="control", sample_key="donor", holdout=("donor=patient1",)
    )
    assert not check([path], spec).stops
    adata = read([path])
    table = population_table(adata.obs, spec)
    assert len(table.treated) == len(table.controls) == 8
    transform = fit_features(adata, spec, np.concatenate([p.rows for p in table.treated]))
    np.testing.assert_array_equal(transform.apply(adata), adata.X)


@pytest.mark.data
def test_sequenced_cells_of_eight_donors():
    path = real("small_kang2018.h5ad")
    spec = DataSpec(
        treatment_key="treatment",
        control="control",
        sample_key="donor",
        features="pca:20",
        expression="log1p",
        holdout=("donor=1016,1256",),
    )
    report = check([path], spec)
    assert not report.stops
    assert report.overview["split"]["test"] == ["1016", "1256"]
    adata = read([path])
    transform = fit_features(adata, spec, np.flatnonzero(~adata.obs["donor"].isin(["1016", "1256"])))
    cells = transform.apply(adata)
    decoded, _ = transform.invert(cells)
    genes = transform.expression(adata)
    explained = 1 - ((decoded - genes) ** 2).sum() / ((genes - genes.mean(axis=0)) ** 2).sum()
    assert 0.3 < explained < 1
