import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.features._variable_genes import normalised_dispersion, variable_genes


def poisson(n=400, g=400, overdispersed=(7, 31), seed=0):
    """log1p of Poisson counts with means around 2; some genes are on in one cell of ten only."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(np.linspace(1.5, 2.5, g), (n, g)).astype(float)
    for gene in overdispersed:
        counts[:, gene] = rng.poisson(20, n) * (np.arange(n) % 10 == 0)
    return np.log1p(counts).astype(np.float32)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_genes_that_vary_beyond_their_mean_are_chosen(kind):
    assert variable_genes(kind(poisson()), 2, True).tolist() == [7, 31]


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_values_as_they_are_are_compared_by_variance(kind):
    x = np.random.default_rng(0).normal(size=(100, 5)) * [1, 5, 2, 4, 3]
    assert variable_genes(kind(x), 3, False).tolist() == [1, 3, 4]


@pytest.mark.parametrize("is_log1p", [True, False])
def test_no_more_genes_than_wanted_are_all_kept(is_log1p):
    assert variable_genes(poisson(g=5, overdispersed=()), 5, is_log1p).tolist() == [0, 1, 2, 3, 4]


def test_a_gene_alone_in_its_bin_has_one_and_a_constant_one_none():
    x = poisson(g=10, overdispersed=())
    x[:, 3] = np.log1p(np.random.default_rng(1).poisson(500, len(x)))
    x[:, 5] = 0
    dispersion = normalised_dispersion(x)
    assert dispersion[3] == pytest.approx(1)
    assert np.isnan(dispersion[5])
    assert 5 not in variable_genes(x, 9, True)


def test_in_each_bin_they_are_standardised():
    dispersion = normalised_dispersion(poisson(overdispersed=()))
    assert abs(dispersion.mean()) < 0.1
    assert 0.8 < dispersion.std() <= 1
