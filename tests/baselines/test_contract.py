"""What every baseline of the catalog keeps to."""

import contextlib

import pytest
import torch

from cellflow_cli.baselines import BaselineRequest, Summaries, summarise
from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import MetricError
from cellflow_cli.types import Condition, Population, PopulationPair

NAMES = Catalog("baselines").names()
KNOWN = Condition("drug", 0.5)
TYPES = torch.eye(2).repeat(15, 1)


def build(name):
    entry = Catalog("baselines").load(name)
    return entry.build(entry.config())


def draw(seed, n=30, d=4):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def summaries():
    pairs = []
    for i, patient in enumerate(("P1", "P2", "P3")):
        facts = {"sample": (patient,), "group": patient, "node_features": TYPES}
        source = Population(**facts, cells=draw(i))
        target = Population(**facts, cells=draw(i + 10) + 2, condition=KNOWN)
        pairs.append(PopulationPair(source=source, target=target))
    rng = torch.Generator().manual_seed(0)
    return summarise(pairs, torch.ones(4), rng, cell_types=("B", "T"))


def predict(name, control, condition, summaries):
    types = tuple("BT"[i % 2] for i in range(len(control)))
    request = BaselineRequest(control=control, sample="P9", condition=condition, cell_types=types)
    return build(name).predict(request, summaries, torch.Generator().manual_seed(0))


def test_the_ones_we_promise_are_there():
    promised = {"identity", "mean-shift", "mean-shift-per-type", "nearest-sample", "ridge"}
    assert promised | {"ot-neighbour", "pooled-treated"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_repetition(name, dtype, summaries):
    control = draw(5).to(dtype)
    before = control.clone()
    first, second = (predict(name, control, KNOWN, summaries) for _ in range(2))
    assert first.shape == control.shape
    assert first.dtype == dtype
    assert torch.isfinite(first).all()
    assert torch.equal(first, second)
    assert torch.equal(control, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["light", "empty", "unknown condition"])
def test_too_little_knowledge_gives_cells_or_a_reason(name, case, summaries):
    known = {"light": summaries.light(), "empty": Summaries.empty(4)}.get(case, summaries)
    condition = Condition("?") if case == "unknown condition" else KNOWN
    with contextlib.suppress(MetricError):
        assert predict(name, draw(5), condition, known).shape == (30, 4)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_condition_is_named(name, summaries):
    if name != "identity":
        with pytest.raises(MetricError, match=r"under 'other', found 'drug 0.5'"):
            predict(name, draw(5), Condition("other"), summaries)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [1, 2, 200])
def test_any_number_of_cells(name, n, summaries):
    assert predict(name, draw(5, n), KNOWN, summaries).shape == (n, 4)


@pytest.mark.parametrize("name", ["ot-neighbour", "pooled-treated"])
def test_those_that_need_cells_name_the_option_that_brings_them(name, summaries):
    with pytest.raises(MetricError, match="--model MODEL"):
        predict(name, draw(5), KNOWN, summaries.light())


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"ot-neighbour", "pooled-treated"}))
def test_the_others_need_no_cells(name, summaries):
    light = predict(name, draw(5), KNOWN, summaries.light())
    assert torch.equal(light, predict(name, draw(5), KNOWN, summaries))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_follows_the_device_of_the_cells(name, summaries):
    on_gpu = predict(name, draw(5).cuda(), KNOWN, summaries)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), predict(name, draw(5), KNOWN, summaries))
