"""pertpy: one AnnData, populations in one column, features of the flow in obsm."""

import anndata

from cellflow_cli.export._matched import ExportFormat

_CELLS = "cells.h5ad"


def files(cells: anndata.AnnData) -> dict[str, anndata.AnnData]:
    """The cells as they are: `Distance` and `DistanceTest` group by any column of obs.

    By default they look into `obsm["X_pca"]`; features that are no components are in
    `obsm["X_flow"]` alone.
    """
    return {_CELLS: cells}


ENTRY = ExportFormat(
    files=files,
    names=(_CELLS,),
    usage=(
        'pt.tl.Distance("edistance", obsm_key="X_flow").onesided_distances('
        'anndata.read_h5ad("{folder}/cells.h5ad"), groupby="cellflow_population", selected_group=...)'
    ),
)
