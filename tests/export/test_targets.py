"""What each tool asks of its files, checked without the tool."""

import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.errors import DataError
from cellflow_cli.export import cell_eval, pertpy
from cellflow_cli.export._matched import matched


def test_cell_eval_finds_both_sides_alike(log1p):
    predicted, measured = cell_eval.ENTRY.files(matched(*log1p)).values()
    assert list(predicted.var_names) == list(measured.var_names)
    for side in (predicted, measured):
        assert isinstance(side.X, sp.csr_matrix)  # a dense view cannot be split by `--celltype-col`
        assert set(side.obs["target_gene"]) == {"non-targeting", "drug 0.1", "drug 1", "other"}
        assert set(side.obs["cellflow_sample"]) == {"P4", "P5"}
        assert side.X.min() >= 0
        assert side.X.max() < 15
    control = [
        side.X[(side.obs["target_gene"] == "non-targeting").to_numpy()] for side in (predicted, measured)
    ]
    np.testing.assert_array_equal(control[0].toarray(), control[1].toarray())
    assert not set(predicted.obs["cellflow_role"]) & {"measured"}


def test_cell_eval_is_not_given_what_it_would_refuse_or_misread(markers, log1p):
    with pytest.raises(DataError, match=r"log1p expression from 0 to below 15, found -.*--for pertpy"):
        cell_eval.ENTRY.files(matched(*markers))
    cells = matched(*log1p)
    whole = cells.copy()
    whole.X = np.round(whole.X)
    with pytest.raises(DataError, match="predicted values as cell-eval takes them"):
        cell_eval.ENTRY.files(whole)
    named = cells.copy()
    named.obs["cellflow_condition"] = named.obs["cellflow_condition"].replace("other", "non-targeting")
    with pytest.raises(DataError, match="no treatment called 'non-targeting'"):
        cell_eval.ENTRY.files(named)


def test_pertpy_finds_features_and_groups(markers, log1p):
    for files, has_components in ((markers, False), (log1p, True)):
        (cells,) = pertpy.ENTRY.files(matched(*files)).values()
        assert cells.obsm["X_flow"].dtype == np.float32
        assert ("X_pca" in cells.obsm) == has_components  # where it looks unless told otherwise
        assert cells.obs["cellflow_population"].notna().all()
