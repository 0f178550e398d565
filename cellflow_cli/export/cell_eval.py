"""cell-eval: a predicted and a measured AnnData, log1p expression, conditions in `target_gene`."""

import anndata
import numpy as np
import scipy.sparse as sp

from cellflow_cli.errors import DataError
from cellflow_cli.export._matched import CONDITION, CONTROL, ROLE, ExportFormat

_PREDICTED, _MEASURED = "predicted.h5ad", "measured.h5ad"
_COLUMN, _CONTROL = "target_gene", "non-targeting"  # its defaults
_TOO_HIGH = 15.0  # it takes values from here on for something else than log1p
_SMALLEST_FRACTION = 1e-3  # below it takes a value for a whole number, and all whole numbers for counts


def files(cells: anndata.AnnData) -> dict[str, anndata.AnnData]:
    """Both sides with the same genes, labels and control cells.

    Treatment and dose are one label; split by sample with `--celltype-col cellflow_sample`. X is CSR:
    dense matrices cannot be split that way.

    Raises:
        DataError: If the values are not what it takes for log1p expression.
    """
    _check_log1p(cells)
    if (cells.obs[CONDITION] == _CONTROL).any():
        raise DataError(
            f"Expected no treatment called {_CONTROL!r}, which is the control of cell-eval, found one. "
            "Rename the treatment."
        )
    return {_PREDICTED: _side(cells, "predicted"), _MEASURED: _side(cells, "measured")}


def _side(cells: anndata.AnnData, role: str) -> anndata.AnnData:
    rows = cells.obs[ROLE].isin([CONTROL, role]).to_numpy()
    conditions = cells.obs[CONDITION][rows].astype(str)
    return anndata.AnnData(
        X=sp.csr_matrix(cells.X[rows]),
        obs=cells.obs[rows].assign(**{_COLUMN: conditions.replace(CONTROL, _CONTROL)}),
        var=cells.var,
        obsm={name: value[rows] for name, value in cells.obsm.items()},
    )


def _check_log1p(cells: anndata.AnnData) -> None:
    for role in ("predicted", "measured"):
        values = cells.X[(cells.obs[ROLE] == role).to_numpy()]
        low, high = float(values.min()), float(values.max())
        if low < 0 or high >= _TOO_HIGH or not (np.modf(values)[0] > _SMALLEST_FRACTION).any():
            raise DataError(
                f"Expected {role} values as cell-eval takes them, log1p expression from 0 to below "
                f"{_TOO_HIGH:g}, found {low:.3g} to {high:.3g}. Models with `--features pca:K` of counts or "
                "log1p values predict such expression; `--for pertpy` takes any values."
            )


ENTRY = ExportFormat(
    files=files,
    names=(_PREDICTED, _MEASURED),
    usage=(
        "cell-eval run -ap {folder}/predicted.h5ad -ar {folder}/measured.h5ad "
        "--celltype-col cellflow_sample -o {folder}-scores"
    ),
)
