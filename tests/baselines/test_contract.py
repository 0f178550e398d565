"""What every baseline of the catalog keeps to."""

import contextlib

import pytest
import torch

from cellflow_cli.baselines import Summaries, summarise
from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import MetricError
from cellflow_cli.types import Condition, Population, PopulationPair

NAMES = Catalog("baselines").names()
KNOWN = Condition("drug", 0.5)


def build(name):
    entry = Catalog("baselines").load(name)
    return entry.build(entry.config())


def draw(seed, n=30, d=4):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def summaries():
    pairs = []
    for i, patient in enumerate(("P1", "P2", "P3")):
        source = Population(sample=(patient,), group=patient, cells=draw(i))
        target = Population(sample=(patient,), group=patient, cells=draw(i + 10) + 2, condition=KNOWN)
        pairs.append(PopulationPair(source=source, target=target))
    return summarise(pairs, torch.ones(4), torch.Generator().manual_seed(0))


def predict(name, control, condition, summaries):
    return build(name).predict(control, "P9", condition, summaries, torch.Generator().manual_seed(0))


def test_the_ones_we_promise_are_there():
    assert {"identity", "mean-shift"} <= set(NAMES)


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_follows_the_device_of_the_cells(name, summaries):
    on_gpu = predict(name, draw(5).cuda(), KNOWN, summaries)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), predict(name, draw(5), KNOWN, summaries))
