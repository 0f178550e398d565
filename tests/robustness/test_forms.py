"""Drawn data in drawn forms: however a file is written, predictions and findings are the same."""

from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.robustness.sound import Sound, as_json, command_line, counts, markers, workplace


@dataclass(frozen=True)
class Form:
    """How data are written.

    Attributes:
        base: `markers` or `counts`.
        seed: Of the cells.
        suffix: `.h5ad` or `.zarr`.
        matrix: dense, csr or csc.
        dtype: Of the values.
        text: Whether columns are texts, not categories.
        rows, features: Seeds of their order; None: as they are.
        files: How many.
        compression: Of h5ad.
        chunk: `--chunk` of the prediction.
    """

    base: str
    seed: int
    suffix: str
    matrix: str
    dtype: str
    text: bool
    rows: int | None
    features: int | None
    files: int
    compression: str | None
    chunk: int


FORMS = st.builds(
    Form,
    base=st.sampled_from(["markers", "counts"]),
    seed=st.integers(0, 50),
    suffix=st.sampled_from([".h5ad", ".zarr"]),
    matrix=st.sampled_from(["dense", "csr", "csc"]),
    dtype=st.sampled_from(["float32", "float64"]),
    text=st.booleans(),
    rows=st.none() | st.integers(0, 9),
    features=st.none() | st.integers(0, 9),
    files=st.integers(1, 3),
    compression=st.sampled_from([None, "gzip", "lzf"]),
    chunk=st.sampled_from([1, 7, 25, 8192]),
)


def drawn(base: str, seed: int) -> anndata.AnnData:
    """Sound data whose cells are drawn anew."""
    adata = markers() if base == "markers" else counts()
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.choice(25, 25) + start for start in range(0, adata.n_obs, 25)])
    dense = np.asarray(adata.X.todense() if base == "counts" else adata.X)[rows]
    if base == "markers":
        dense = (dense + rng.normal(0, 0.05, dense.shape)).astype(np.float32)
    obs = adata.obs.iloc[rows].set_axis([f"n{i}" for i in range(len(rows))])
    return anndata.AnnData(dense, obs=obs, var=adata.var)


def written(adata: anndata.AnnData, form: Form, folder: Path) -> list[str]:
    """The files of a form."""
    dense = np.asarray(adata.X.todense() if sp.issparse(adata.X) else adata.X, dtype=form.dtype)
    adata = anndata.AnnData(dense, obs=adata.obs.copy(), var=adata.var.copy())
    if form.rows is not None:
        adata = adata[np.random.default_rng(form.rows).permutation(adata.n_obs)].copy()
    if form.features is not None:
        adata = adata[:, np.random.default_rng(form.features).permutation(adata.n_vars)].copy()
    names = []
    for i, rows in enumerate(np.array_split(np.arange(adata.n_obs), form.files)):
        part = adata[rows].copy()
        part.X = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix}[form.matrix](part.X)
        for name in ("patient", "treatment"):
            part.obs[name] = part.obs[name].astype(object if form.text else "category")
        path = folder / f"part{i}{form.suffix}"
        if form.suffix == ".zarr":
            part.write_zarr(path)
        else:
            part.write_h5ad(path, compression=form.compression, convert_strings_to_categoricals=False)
        names.append(path.name)
    return names


def predicted(files: list[str], base: str, chunk: int, folder: Path, sound: Sound) -> pd.DataFrame:
    """Predicted values, a row for each cell and treatment, in an order of their own."""
    options = ("--chunk", str(chunk), "--force")
    done = sound.warm.run(command_line("predict", base, files, sound, options), folder)
    assert done.code == 0, done.text
    adata = anndata.read_h5ad(folder / "out.h5ad")
    values = adata.to_df()
    values.index = adata.obs["treatment"].astype(str) + adata.obs["cellflow_source_cell"].astype(str)
    return values.sort_index().sort_index(axis=1)


def findings(files: list[str], base: str, folder: Path, sound: Sound) -> list[tuple[str, str]]:
    """Errors and warnings of `check`."""
    done = sound.warm.run(command_line("check", base, files, sound, ("--json",)), folder)
    assert done.code in (0, 3), done.text
    return [(f["level"], f["what"]) for f in as_json(done.stdout)["findings"] if f["level"] != "note"]


def check(form: Form, sound: Sound) -> None:
    adata = drawn(form.base, form.seed)
    plain = Form(form.base, form.seed, ".h5ad", "dense", "float32", False, None, None, 1, None, 8192)
    with workplace() as one, workplace() as other:
        files, usual = written(adata, form, one), written(adata, plain, other)
        left = predicted(files, form.base, form.chunk, one, sound)
        right = predicted(usual, form.base, 8192, other, sound)
        pd.testing.assert_frame_equal(left, right, rtol=1e-5, atol=1e-5, check_dtype=False)
        assert findings(files, form.base, one, sound) == findings(usual, form.base, other, sound)


pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2 data")
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(form=FORMS)
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_forms_of_a_file(sound, form):
    check(form, sound)


@pytest.mark.slow
@given(form=FORMS)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_many_forms_of_a_file(sound, form):
    check(form, sound)
