"""Contexts that are asked at a point: closed forms of kernel features, and that attention contains them."""

import math

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.embedders import draw
from cellflow_cli.embedders.kernel import Kernel, KernelConfig
from cellflow_cli.embedders.set_attention import SetAttention, SetAttentionConfig
from cellflow_cli.errors import ConfigError
from cellflow_cli.rng import scoped
from cellflow_cli.types import ModelShape, Population, PopulationBatch

PLANE = ModelShape(n_features=2, treatments=("a",))


def batch(cells):
    b, m, _ = cells.shape
    return PopulationBatch(
        cells, torch.ones(b, m, dtype=torch.bool), cells.new_zeros(b, m, 0), torch.zeros(b, dtype=torch.int64)
    )


def test_mean_shift_and_density_of_one_cell():
    """A single cell s pulls x by (s - x) / h and has no spread; its log density is -|x - s|^2 / (2 h^2)."""
    kernel = Kernel(KernelConfig(bandwidths=(0.5,)), PLANE).double().eval()
    cell, x = torch.tensor([[[1.0, 2.0]]]).double(), torch.tensor([[[0.0, 0.0]]]).double()
    found = kernel(batch(cell)).query(x, torch.zeros(1, 1).double())[0, 0]
    expected = torch.tensor([1 / 0.5, 2 / 0.5, -1, 0, -1, -math.log1p(5 / (2 * 0.25))]).double()
    assert torch.allclose(found, expected, atol=1e-12)


def test_features_are_gradient_and_hessian_of_the_log_density(rng):
    """(m - x) / h^2 and (C / h^2 - I) / h^2 of log mean_j exp(-|x - s_j|^2 / (2 h^2)), by differentiation."""
    h, cells = 0.7, torch.randn(1, 30, 2, generator=rng).double()
    x = torch.randn(6, 2, generator=rng).double()

    def log_density(point):
        return torch.logsumexp(-(point - cells[0]).square().sum(-1) / (2 * h * h), dim=-1)

    gradient = torch.stack([torch.func.grad(log_density)(point) for point in x])
    hessian = torch.stack([torch.func.hessian(log_density)(point) for point in x])
    kernel = Kernel(KernelConfig(bandwidths=(h,)), PLANE).double().eval()
    found = kernel(batch(cells)).query(x[None], torch.zeros(1, 6).double())[0]
    # the bandwidth is kept in float32
    assert torch.allclose(found[:, :2] / h, gradient, atol=1e-5)
    upper = torch.stack([hessian[:, 0, 0], hessian[:, 0, 1], hessian[:, 1, 1]], dim=-1)
    assert torch.allclose(found[:, 2:5] / h**2, upper, atol=1e-5)


def test_in_many_dimensions_the_diagonal_of_the_hessian_is_kept(rng):
    h, d = 1.5, 6
    cells, x = torch.randn(1, 30, d, generator=rng).double(), torch.randn(d, generator=rng).double()

    def log_density(point):
        return torch.logsumexp(-(point - cells[0]).square().sum(-1) / (2 * h * h), dim=-1)

    kernel = (
        Kernel(KernelConfig(bandwidths=(h,)), ModelShape(n_features=d, treatments=("a",))).double().eval()
    )
    found = kernel(batch(cells)).query(x[None, None], torch.zeros(1, 1).double())[0, 0]
    assert found.shape == (kernel.width,) == (2 * d + 1,)
    diagonal = torch.func.hessian(log_density)(x).diagonal()
    assert torch.allclose(found[d : 2 * d] / h**2, diagonal, atol=1e-5)


def test_repeating_the_cells_changes_nothing(rng):
    kernel = Kernel(KernelConfig(), PLANE).double().eval()
    cells, x = torch.randn(1, 20, 2, generator=rng).double(), torch.randn(1, 4, 2, generator=rng).double()
    once = kernel(batch(cells)).query(x, torch.zeros(1, 4).double())
    twice = kernel(batch(cells.repeat(1, 2, 1))).query(x, torch.zeros(1, 4).double())
    assert torch.allclose(once, twice, atol=1e-10)


def test_attention_without_queries_is_the_kernel(rng):
    """With q = 0, a head returns mean shift, curvature and density of the kernel at its length scale."""
    config = SetAttentionConfig(n_heads=2, shortest=0.3, longest=0.9)
    with scoped(rng):
        attention = SetAttention(config, PLANE).double().eval()
    torch.nn.init.zeros_(attention.query.weight)
    kernel = Kernel(KernelConfig(bandwidths=(0.3, 0.9)), PLANE).double().eval()
    cells, x = torch.randn(1, 40, 2, generator=rng).double(), torch.randn(1, 5, 2, generator=rng).double()
    t = torch.rand(1, 5, generator=rng).double()
    found = attention.attend(x, t, attention(batch(cells))).view(1, 5, 2, -1)
    expected = kernel(batch(cells)).query(x, t).view(1, 5, 2, 6)
    assert torch.allclose(found[..., :5], expected[..., :5], atol=1e-5)
    # the density is compressed by softplus there and relu here
    raw = -torch.expm1(-expected[..., 5])
    assert torch.allclose(found[..., -1], -torch.log1p(torch.nn.functional.softplus(-raw)), atol=1e-5)


def test_attention_hears_the_time_and_the_middle_of_the_way(rng):
    with scoped(rng):
        attention = SetAttention(SetAttentionConfig(), PLANE).double().eval()
    torch.nn.init.normal_(attention.query.weight, std=2.0)
    context = attention(batch(torch.randn(1, 40, 2, generator=rng).double()))
    x = torch.zeros(1, 3, 2).double()
    t = torch.tensor([[0.0, 0.5, 1.0]]).double()
    begin, middle, end = attention.attend(x, t, context)[0]
    assert (begin - end).norm() > 0.01
    attention.query.weight.data[:, 2] = 0  # only sin(pi t) is left
    begin, middle, end = attention.attend(x, t, context)[0]
    assert torch.allclose(begin, end, atol=1e-10)
    assert (begin - middle).norm() > 0.01


def test_heads_measure_in_orthonormal_axes_of_their_own(rng):
    with scoped(rng):
        axes = SetAttention(SetAttentionConfig(space=4), ModelShape(n_features=9, treatments=("a",))).project
    assert torch.allclose(axes.mT @ axes, torch.eye(4).expand(len(axes), 4, 4), atol=1e-5)
    assert (axes[0] - axes[1]).norm() > 0.1


@pytest.mark.parametrize("d", [1, 2, 5, 24])
def test_the_first_head_sees_some_cells_and_the_last_most(rng, d):
    """Participation ratio (sum w)^2 / sum w^2 of the weights that a new cell of the population gives."""
    config = SetAttentionConfig(space=8)
    with scoped(rng):
        attention = SetAttention(config, ModelShape(n_features=d, treatments=("drug",)))
    cells, x = torch.randn(512, d, generator=rng), torch.randn(100, d, generator=rng)
    seen = []
    for scale, axes in zip(attention.log_scale.exp(), attention.project, strict=True):
        weights = (-torch.cdist(x @ axes / scale, cells @ axes / scale).square() / 2).exp().double()
        seen.append(float((weights.sum(1).square() / weights.square().sum(1)).median().detach()))
    assert seen == sorted(seen)
    assert 1.5 < seen[0] < 20
    assert 200 < seen[-1] < 512


def test_one_length_scale_beyond_the_other_is_refused():
    with pytest.raises(ConfigError, match=r"Expected 0 < shortest <= longest, found 3.0 and 2.0"):
        SetAttention(SetAttentionConfig(shortest=3.0), PLANE)


@pytest.mark.parametrize("name", ["kernel", "set-attention"])
def test_blocks_of_points_change_nothing(rng, name, monkeypatch):
    with scoped(rng):
        embedder = Catalog("embedders").build(Catalog("embedders").choose(name), PLANE).double().eval()
    context = embedder(batch(torch.randn(2, 300, 2, generator=rng).double()))
    x, t = torch.randn(2, 50, 2, generator=rng).double(), torch.rand(2, 50, generator=rng).double()
    whole = context.query(x, t)
    monkeypatch.setattr("cellflow_cli.embedders._context._MAX_NUMBERS", 600 * 7 * 6)  # 7 points at a time
    assert torch.allclose(context.query(x, t), whole, atol=1e-12)


def test_a_random_number_of_cells_is_seen_in_training(rng):
    kernel = Kernel(KernelConfig(reference_cells=200, min_cells=50), PLANE).train()
    population = Population(sample=("S",), group="S", cells=torch.randn(300, 2, generator=rng))
    sizes = set()
    with scoped(rng):
        for _ in range(20):
            sizes.add(kernel(draw([population], 200, [0], rng)).cells.shape[1])
    assert min(sizes) >= 50
    assert max(sizes) <= 200
    assert len(sizes) > 5


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (KernelConfig, {"bandwidths": (0.1, -1.0)}),
        (KernelConfig, {"min_cells": 2000}),
        (KernelConfig, {"max_cells": 500}),
        (SetAttentionConfig, {"k": 600}),
        (SetAttentionConfig, {"shortest": 3.0, "longest": 2.0}),
        (SetAttentionConfig, {"shortest": -0.1}),
    ],
)
def test_bad_settings_are_refused(config, settings):
    with pytest.raises(ConfigError, match="Expected"):
        config(**settings)
