"""The most variable genes are those of scanpy, whose flavor `seurat` is the published recipe."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.features._variable_genes import normalised_dispersion, variable_genes


@pytest.fixture(params=[np.asarray, sp.csr_matrix])
def cells(request):
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.4, 2.0, 1500) * rng.lognormal(0, 0.7, (300, 1500))
    counts = rng.poisson(rates).astype(float)
    totals = counts.sum(axis=1, keepdims=True)
    return request.param(np.log1p(1e4 * counts / totals).astype(np.float32))


@pytest.mark.parametrize("n_top_genes", [20, 200, 1300])
def test_the_same_genes_and_dispersions(cells, n_top_genes):
    import scanpy as sc

    table = sc.pp.highly_variable_genes(
        anndata.AnnData(cells), flavor="seurat", n_top_genes=n_top_genes, inplace=False
    )
    assert (
        variable_genes(cells, n_top_genes, True).tolist()
        == np.flatnonzero(table["highly_variable"].to_numpy()).tolist()
    )
    expected = table["dispersions_norm"].to_numpy()
    np.testing.assert_allclose(normalised_dispersion(cells), expected, atol=1e-5)
