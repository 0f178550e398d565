"""The characteristic function of a population, seen from a point: closed forms."""

import math

import pytest
import torch

from cellflow_cli.embedders.fourier import Fourier, FourierConfig
from cellflow_cli.errors import ConfigError
from cellflow_cli.rng import scoped
from cellflow_cli.types import ModelShape, PopulationBatch


def batch(cells):
    b, m, _ = cells.shape
    mask, none = torch.ones(b, m, dtype=torch.bool), cells.new_zeros(b, m, 0)
    return PopulationBatch(cells, mask, none, torch.zeros(b, dtype=torch.int64))


def built(rng, d, **settings):
    with scoped(rng):
        embedder = Fourier(FourierConfig(**settings), ModelShape(n_features=d, treatments=("a",)))
    return embedder.double().eval()


def parts(embedder, cells, x):
    """Even and odd features, shape [n, f] each."""
    found = embedder(batch(cells)).query(x[None], x.new_zeros(1, len(x)))[0]
    f = embedder.frequencies.shape[-1]
    return found[:, :f] / 4, found[:, f : 2 * f] / 4


def test_at_its_only_cell_a_population_is_even(rng):
    embedder = built(rng, 3, embedding=0)
    cell = torch.randn(1, 1, 3, generator=rng).double()
    even, odd = parts(embedder, cell, cell[0])
    assert torch.allclose(even, torch.ones_like(even), atol=1e-12)
    assert torch.allclose(odd, torch.zeros_like(odd), atol=1e-12)


def test_a_gaussian_population_has_its_closed_form(rng):
    """E exp(i w.(x - s)) = exp(i w.(x - m) - s^2 |w|^2 / 2) for s ~ N(m, s^2 I)."""
    embedder = built(rng, 2, bandwidths=(0.5,), frequencies=20, embedding=0)
    mean, spread = torch.tensor([0.3, -1.0]).double(), 0.8
    cells = mean + spread * torch.randn(1, 200_000, 2, generator=rng).double()
    x = torch.randn(4, 2, generator=rng).double()
    even, odd = parts(embedder, cells, x)
    w = embedder.frequencies
    envelope, phase = (-(spread**2) * w.square().sum(0) / 2).exp(), (x - mean) @ w
    assert torch.allclose(even, envelope * phase.cos(), atol=0.01)  # four standard errors of 200,000 cells
    assert torch.allclose(odd, envelope * phase.sin(), atol=0.01)


def test_merely_told_it_is_the_function_itself_as_seen_from_the_origin(rng):
    """E exp(i w.s) = exp(i w.m - s^2 |w|^2 / 2) for s ~ N(m, s^2 I); from 0 it is seen as E exp(-i w.s)."""
    settings = {"bandwidths": (0.5,), "frequencies": 20, "embedding": 0}
    embedder = built(rng, 2, pointwise=False, **settings)
    mean, spread = torch.tensor([0.3, -1.0]).double(), 0.8
    cells = mean + spread * torch.randn(1, 200_000, 2, generator=rng).double()
    told = embedder(batch(cells)).vector[0] / 4
    w = embedder.frequencies
    envelope, phase = (-(spread**2) * w.square().sum(0) / 2).exp(), mean @ w
    assert torch.allclose(told, torch.cat([envelope * phase.cos(), envelope * phase.sin()]), atol=0.01)
    asking = built(rng, 2, **settings)
    asking.load_state_dict(embedder.state_dict())
    even, odd = parts(asking, cells, torch.zeros(1, 2).double())
    assert torch.allclose(told, torch.cat([even[0], -odd[0]]), atol=1e-12)


def test_merely_told_a_mixture_is_the_mean_of_its_parts(rng):
    embedder = built(rng, 2, pointwise=False, embedding=0)
    parts = torch.randn(2, 30, 2, generator=rng).double()
    whole = embedder(batch(parts.view(1, 60, 2))).vector[0]
    assert torch.allclose(whole, embedder(batch(parts)).vector.mean(0), atol=1e-12)


@pytest.mark.parametrize("d", [2, 24])
def test_over_many_frequencies_the_even_part_is_the_kernel_density(rng, d):
    """Bochner: the mean of cos(w.(x - s)) over w ~ N(0, I / (h^2 d)) is exp(-|x - s|^2 / (2 h^2 d))."""
    h = 0.5
    embedder = built(rng, d, bandwidths=(h,), frequencies=40_000, embedding=0)
    cells, x = (torch.randn(n, d, generator=rng).double() for n in (20, 5))
    even, _ = parts(embedder, cells[None], x)
    density = (-torch.cdist(x, cells).square() / (2 * h * h * d)).exp().mean(1)
    assert torch.allclose(even.mean(1), density, atol=4 / math.sqrt(2 * 40_000))


def test_repeating_the_cells_changes_nothing(rng):
    embedder = built(rng, 2)
    cells, x = torch.randn(1, 30, 2, generator=rng).double(), torch.randn(1, 4, 2, generator=rng).double()
    once, twice = (
        embedder(batch(c)).query(x, torch.zeros(1, 4).double()) for c in (cells, cells.repeat(1, 3, 1))
    )
    assert torch.allclose(once, twice, atol=1e-10)


def test_subsamples_of_one_size_merge_to_the_whole(rng):
    embedder = built(rng, 2, embedding=0)
    cells, x = torch.randn(60, 2, generator=rng).double(), torch.randn(1, 4, 2, generator=rng).double()
    t = torch.zeros(1, 4).double()
    merged = embedder(batch(cells.view(3, 20, 2))).merged().query(x, t)
    assert torch.allclose(merged, embedder(batch(cells[None])).query(x, t), atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bandwidths": ()}, "bandwidths"),
        ({"bandwidths": (0.0,)}, "bandwidths"),
        ({"frequencies": 0}, "frequencies"),
        ({"embedding": 1}, "layer norm"),
    ],
)
def test_sizes_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        FourierConfig(**settings)


def test_both_the_function_and_the_question_teach_the_frequencies(rng):
    """The gradient of all that a point is told, against finite differences."""
    embedder = built(rng, 2, bandwidths=(0.7,), frequencies=3, embedding=4)
    cells, x = (torch.randn(1, n, 2, generator=rng).double() for n in (20, 5))

    def told(frequencies):
        embedder.frequencies.data = frequencies
        return torch.func.functional_call(embedder, {"frequencies": frequencies}, (batch(cells),)).query(
            x, x.new_zeros(1, 5)
        )

    start = embedder.frequencies.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(told, (start,))


def test_the_vector_hears_what_mean_and_spread_do_not_tell(rng):
    """Three points and their mirror image: the same mean and spread, another third moment."""
    embedder = built(rng, 1)
    skewed = torch.tensor([-1.0, -1.0, 2.0]).double().view(1, 3, 1)
    vectors = [embedder(batch(cells)).pooled for cells in (skewed, -skewed)]
    assert (vectors[0] - vectors[1]).norm() > 0.1
