"""Summaries: what is kept, and that they survive JSON, arrays and an h5ad file."""

import json
from dataclasses import replace

import anndata
import numpy as np
import pytest
import torch

from cellflow_cli.baselines import Summaries, summarise
from cellflow_cli.types import Condition, Population, PopulationPair


def draw(seed, n, d=3):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def pairs():
    shared = Population(sample=("P1", "a"), group="P1", cells=draw(0, 500))
    same = Population(sample=("P1", "a"), group="P1", cells=draw(0, 500))  # another object, same cells
    other = Population(sample=("P2", "a"), group="P2", cells=draw(1, 40))
    return [
        PopulationPair(source=shared, target=treated("P1", 2, 350, Condition("drug", 0.1))),
        PopulationPair(source=same, target=treated("P1", 3, 20, Condition("other"))),
        PopulationPair(source=other, target=treated("P2", 4, 1, Condition("drug", 0.1))),
    ]


def treated(patient, seed, n, condition):
    return Population(sample=(patient, "a"), group=patient, cells=draw(seed, n), condition=condition)


def summary(seed=0, n_cells=300):
    return summarise(pairs(), torch.tensor([1.0, 2.0, 3.0]), torch.Generator().manual_seed(seed), n_cells)


def test_a_shared_control_is_kept_once():
    found = summary()
    assert found.samples == (("P1", "a"), ("P2", "a"), ("P1", "a"), ("P1", "a"), ("P2", "a"))
    assert found.conditions[:2] == (None, None)
    assert found.source.tolist() == [-1, -1, 0, 0, 1]
    assert found.treated == (2, 3, 4)
    assert found.training_groups == ("P1", "P2")


def test_moments_are_of_all_cells_and_few_cells_are_kept():
    found = summary()
    assert found.n_cells.tolist() == [500, 40, 350, 20, 1]
    torch.testing.assert_close(found.mean[0], draw(0, 500).double().mean(0))
    torch.testing.assert_close(found.std[2], draw(2, 350).double().std(0))
    assert found.std[4].tolist() == [0, 0, 0]
    assert [len(found.cells_of(i)) for i in range(5)] == [300, 40, 300, 20, 1]
    kept = {tuple(row) for row in found.cells_of(0).tolist()}
    assert len(kept) == 300
    assert kept <= {tuple(row) for row in draw(0, 500).tolist()}


def test_the_seed_draws_the_cells():
    assert torch.equal(summary().cells, summary().cells)
    assert not torch.equal(summary().cells, summary(seed=1).cells)


def test_spread_is_that_of_all_populations_with_equal_weight():
    cells = [draw(i, 50) * (i + 1) + i for i in range(4)]
    populations = [
        Population(sample=(str(i),), group=str(i % 2), cells=c, condition=Condition("t") if i > 1 else None)
        for i, c in enumerate(cells)
    ]
    found = summarise(
        [PopulationPair(source=populations[i], target=populations[i + 2]) for i in (0, 1)],
        torch.ones(3),
        torch.Generator(),
    )
    # Equal sizes: the pooled variance, up to n - 1 within each population.
    within = torch.stack([c.double().var(0) for c in cells]).mean(0)
    pooled = torch.cat(cells).double().var(0, correction=0) + within / 50
    torch.testing.assert_close(found.spread(), pooled.sqrt())


def same(a, b):
    tensors = ("source", "n_cells", "mean", "std", "scale", "cells", "offsets")
    return all(torch.equal(getattr(a, n), getattr(b, n)) for n in tensors) and all(
        getattr(a, n) == getattr(b, n) for n in ("samples", "groups", "conditions")
    )


@pytest.mark.parametrize("light", [False, True])
def test_json_and_arrays_bring_everything_back(light):
    found = summary().light() if light else summary()
    text = json.dumps(found.to_json(), allow_nan=False)
    assert same(Summaries.from_parts(json.loads(text), found.arrays()), found)


def test_an_h5ad_file_brings_everything_back(tmp_path):
    found = summary().light()
    adata = anndata.AnnData(np.zeros((1, 1), dtype=np.float32))
    adata.uns["cellflow"] = {"summaries_json": json.dumps(found.to_json()), "summaries": found.arrays()}
    adata.write_h5ad(tmp_path / "a.h5ad")
    uns = anndata.read_h5ad(tmp_path / "a.h5ad").uns["cellflow"]
    assert same(Summaries.from_parts(json.loads(uns["summaries_json"]), uns["summaries"]), found)


def test_a_light_version_holds_no_cells():
    assert "cells" not in summary().light().arrays()
    assert len(summary().light().cells_of(0)) == 0


def typed(n_cells=300):
    """One pair of three types, the last of them absent from the treated cells."""
    hot = torch.eye(3)[torch.arange(60) % 3]
    source = Population(sample=("P1",), group="P1", cells=draw(0, 60), node_features=hot)
    target = Population(
        sample=("P1",), group="P1", cells=draw(1, 60), node_features=torch.eye(3)[torch.arange(60) % 2],
        condition=Condition("drug"),
    )  # fmt: skip
    pair = PopulationPair(source=source, target=target)
    return summarise([pair], torch.ones(3), torch.Generator(), n_cells, cell_types=("B", "NK", "T"))


def test_means_per_cell_type_are_of_all_cells():
    types = typed(n_cells=5).types
    assert types.names == ("B", "NK", "T")
    assert types.n_cells.tolist() == [[20, 20, 20], [30, 30, 0]]
    torch.testing.assert_close(types.mean[0, 1], draw(0, 60).double()[1::3].mean(0))
    torch.testing.assert_close(types.mean[1, 0], draw(1, 60).double()[::2].mean(0))
    assert types.mean[1, 2].tolist() == [0, 0, 0]


@pytest.mark.parametrize("light", [False, True])
def test_cell_types_come_back_and_older_summaries_have_none(light):
    found = typed().light() if light else typed()
    text = json.loads(json.dumps(found.to_json()))
    again = Summaries.from_parts(text, found.arrays())
    assert again.types.names == found.types.names
    assert torch.equal(again.types.mean, found.types.mean)
    assert torch.equal(again.types.n_cells, found.types.n_cells)
    older = Summaries.from_parts({k: v for k, v in text.items() if k != "cell_types"}, found.arrays())
    assert older.types is None
    assert "cell_types" not in older.to_json()
    with pytest.raises(ValueError, match="Expected `type_mean`"):
        Summaries.from_parts(text, {k: v for k, v in found.arrays().items() if k != "type_mean"})


def test_cell_types_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \(500, 0\) for 1 names"):
        summarise(pairs(), torch.ones(3), torch.Generator(), cell_types=("B",))
    with pytest.raises(ValueError, match="different numbers"):
        replace(summary(), types=typed().types)


def test_broken_parts_are_refused():
    found = summary()
    with pytest.raises(ValueError, match="Expected `groups`"):
        Summaries.from_parts(
            {k: v for k, v in found.to_json().items() if k != "groups"},
            {k: v for k, v in found.arrays().items() if k != "std"},
        )
    with pytest.raises(ValueError, match="format 99, newer"):
        Summaries.from_parts({**found.to_json(), "format": 99}, found.arrays())
    with pytest.raises(ValueError, match="different numbers"):
        Summaries.from_parts({**found.to_json(), "groups": ["P1"]}, found.arrays())
    with pytest.raises(ValueError, match="no pairs"):
        summarise([], torch.ones(3), torch.Generator())
