"""Parts that several embedders share: mean and spread of cells, and cells encoded by their neighbourhood."""

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.embedders._context import mean_and_spread, thinned
from cellflow_cli.embedders._graph import GraphEncoder
from cellflow_cli.embedders.knn_graph import KnnGraphConfig
from cellflow_cli.embedders.mean import Mean, MeanConfig
from cellflow_cli.errors import ConfigError
from cellflow_cli.rng import scoped
from cellflow_cli.types import ModelShape, PopulationBatch


def batch(cells, mask=None):
    mask = torch.ones(cells.shape[:2], dtype=torch.bool) if mask is None else mask
    none, labels = cells.new_zeros(*cells.shape[:2], 0), torch.zeros(len(cells), dtype=torch.int64)
    return PopulationBatch(cells, mask, none, labels)


def encoder(rng, k=3):
    with scoped(rng):
        return GraphEncoder(2, width=4, n_layers=2, k=k, reference_cells=20).double()


def test_mean_and_standard_deviation_of_the_cells_that_count():
    h = torch.tensor([[[1.0, 0.0], [3.0, 10.0], [99.0, 99.0]]])
    found = mean_and_spread(h, torch.tensor([[True, True, False]]))
    assert found[0].tolist() == pytest.approx([2.0, 5.0, 1.0, 5.0], abs=1e-4)


def test_the_cell_itself_stands_first(rng):
    cells = torch.randn(1, 20, 2, generator=rng).double()
    assert torch.equal(encoder(rng)(batch(cells))[..., :2], cells)


def test_neighbours_are_heard_and_only_where_there_are_edges(rng):
    cells = torch.randn(1, 20, 2, generator=rng).double()
    moved = cells.clone()
    moved[0, 1:] += 0.3  # all but the first cell
    for k, heard in ((3, True), (0, False)):
        made = encoder(rng, k)
        first, second = (made(batch(c))[0, 0] for c in (cells, moved))
        assert torch.equal(first, second) != heard


def test_layers_are_not_linear(rng):
    """Without edges: f(2 x) - f(0) is twice f(x) - f(0) for a linear map."""
    made, cells = encoder(rng, k=0), torch.randn(1, 20, 2, generator=rng).double()
    zero, once, twice = (made(batch(s * cells))[..., 2:] for s in (0, 1, 2))
    assert (twice - zero - 2 * (once - zero)).abs().mean() > 1e-3


def test_the_deep_set_reads_the_plain_cells_too(rng):
    """With a network of each cell that says nothing, their mean and spread are left."""
    with scoped(rng):
        made = Mean(MeanConfig(width=8, embedding=4), ModelShape(n_features=2, treatments=("a",))).eval()
    for parameter in made.cell.parameters():
        torch.nn.init.zeros_(parameter)
    cells = torch.randn(1, 30, 2, generator=rng)
    assert (made(batch(cells)).vector - made(batch(cells + 1)).vector).norm() > 1e-2


@pytest.mark.parametrize(
    ("name", "settings"), [("mean", {"width": 8}), ("knn-graph", {"width": 8, "k": 3, "reference_cells": 30})]
)
def test_without_an_embedding_mean_and_spread_are_told_as_they_are(rng, name, settings):
    """The cell stands first, so its own mean is the first that is told, and its spread is among the rest."""
    entry = Catalog("embedders").load(name)
    with scoped(rng):
        made = entry.build(entry.config(embedding=0, **settings), ModelShape(n_features=2, treatments=("a",)))
    cells = torch.randn(1, 30, 2, generator=rng)
    told = made.eval()(batch(cells)).vector[0]
    assert len(told) == made.width
    assert torch.allclose(told[:2], cells[0].mean(0), atol=1e-6)
    half = made.width // 2
    assert torch.allclose(told[half : half + 2], cells[0].std(0, correction=0), atol=1e-5)


def test_of_a_small_population_in_training_its_cells_are_seen_and_not_the_padding(rng):
    """Forty cells padded to 300: however few rows are drawn, they are cells."""
    cells = torch.randn(1, 300, 2, generator=rng)
    mask = torch.arange(300)[None] < 40
    with scoped(rng):
        for _ in range(20):
            assert thinned(batch(cells, mask), 10).mask[0, :10].all()


@pytest.mark.parametrize("config", [MeanConfig, KnnGraphConfig])
def test_no_cells_at_all_are_refused(config):
    with pytest.raises(ConfigError, match="at least 1, found 256 and 0"):
        config(reference_cells=256, min_cells=0)
