"""MMD against Gaussian integrals, energy distance against sets counted by hand and normal laws."""

import math

import pytest
import torch

from cellflow_cli.metrics import Comparison
from cellflow_cli.metrics.energy import energy, energy_distance
from cellflow_cli.metrics.mmd_median import mmd_median
from cellflow_cli.metrics.mmd_rbf import mmd_rbf

GAMMAS = [2, 1, 0.5, 0.1, 0.01, 0.005]


def compared(predicted, target):
    return Comparison(predicted=predicted, target=target, control=target[:1])


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def mean_kernel(gamma, gap, covariance):
    """E exp(-gamma |z|^2) for z ~ N(gap, covariance), a Gaussian integral."""
    widened = torch.eye(len(gap), dtype=torch.float64) + 2 * gamma * covariance
    exponent = -gamma * gap @ torch.linalg.solve(widened, gap)
    return float(torch.linalg.det(widened) ** -0.5 * exponent.exp())


def test_mmd_rbf_of_gaussians():
    n, repeats = 150, 60
    gap = torch.tensor([0.8, -0.4], dtype=torch.float64)
    s0 = torch.eye(2, dtype=torch.float64)
    s1 = torch.tensor([[0.5, 0.2], [0.2, 1.2]], dtype=torch.float64)
    expected = 0.0
    for gamma in GAMMAS:
        within0, within1 = mean_kernel(gamma, 0 * gap, 2 * s0), mean_kernel(gamma, 0 * gap, 2 * s1)
        between = mean_kernel(gamma, gap, s0 + s1)
        bias = (1 - within0) / n + (1 - within1) / n  # i = j has k = 1
        expected += (within0 + within1 - 2 * between + bias) / len(GAMMAS)
    rng = torch.Generator().manual_seed(0)
    factor = torch.linalg.cholesky(s1)
    values = torch.tensor(
        [
            mmd_rbf(
                compared(
                    torch.randn(n, 2, dtype=torch.float64, generator=rng),
                    gap + torch.randn(n, 2, dtype=torch.float64, generator=rng) @ factor.T,
                )
            ).value
            for _ in range(repeats)
        ]
    )
    error = float(values.std()) / math.sqrt(repeats)
    assert error < 0.03 * expected  # tight enough to see a wrong bias or a missing gamma
    assert float(values.mean()) == pytest.approx(expected, abs=4 * error)


def test_mmd_rbf_of_two_points():
    distance_squared = 1.5**2
    expected = sum(2 - 2 * math.exp(-gamma * distance_squared) for gamma in GAMMAS) / 6
    assert mmd_rbf(compared(column(0), column(1.5))).value == pytest.approx(expected, rel=1e-12)


def test_mmd_rbf_of_equal_sets_is_zero():
    x = torch.randn(90, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert mmd_rbf(compared(x, x.flip(0))).value == pytest.approx(0, abs=1e-14)


def test_mmd_median_by_hand():
    # Distances in the target 1, 2, 3: median 2, so h in {1, 2, 4}.
    def k(distance):
        return sum(math.exp(-(distance**2) / (2 * h**2)) for h in (1, 2, 4)) / 3

    predicted, target = column(0.5, 4), column(0, 1, 3)
    between = [abs(p - t) for p in (0.5, 4) for t in (0, 1, 3)]
    expected = k(3.5) + (k(1) + k(2) + k(3)) / 3 - 2 * sum(map(k, between)) / 6
    assert mmd_median(compared(predicted, target)).value == pytest.approx(expected, rel=1e-12)


def test_mmd_median_does_not_depend_on_units():
    rng = torch.Generator().manual_seed(2)
    x, y = (torch.randn(80, 4, dtype=torch.float64, generator=rng) for _ in range(2))
    small = mmd_median(compared(x, y + 1)).value
    assert mmd_median(compared(1000 * x, 1000 * (y + 1))).value == pytest.approx(small, rel=1e-9)


def test_mmd_median_needs_spread():
    value = mmd_median(compared(column(1, 2), column(3, 3, 3)))
    assert value.value is None
    assert "median distance" in value.reason


def test_energy_by_hand():
    # 2 * (1 + 5 + 1 + 3) / 4 - 2 - 4
    assert energy_distance(column(0, 2), column(1, 5)).item() == pytest.approx(-1, rel=1e-12)
    assert energy(compared(column(0, 2), column(1, 5))).value == pytest.approx(-1, rel=1e-12)


def test_energy_of_two_clusters_is_twice_their_distance():
    x, y = torch.zeros(30, 2), torch.tensor([3.0, 4.0]).repeat(20, 1)
    assert energy_distance(x, y).item() == pytest.approx(10, rel=1e-12)


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_energy_of_normal_laws(gap):
    # E|X - Y| for X - Y ~ N(-gap, 2), the folded normal law; 2 / sqrt(pi) within.
    sigma = math.sqrt(2)
    folded = sigma * math.sqrt(2 / math.pi) * math.exp(-(gap**2) / (2 * sigma**2))
    folded += gap * math.erf(gap / (sigma * math.sqrt(2)))
    expected = 2 * folded - 2 * 2 / math.sqrt(math.pi)
    rng = torch.Generator().manual_seed(3)
    draws = [torch.randn(2, 60, 1, dtype=torch.float64, generator=rng) for _ in range(300)]
    values = torch.tensor([energy_distance(x, y + gap).item() for x, y in draws])
    error = float(values.std()) / math.sqrt(len(values))
    assert float(values.mean()) == pytest.approx(expected, abs=4 * error)


def test_energy_in_blocks_equals_energy_at_once():
    rng = torch.Generator().manual_seed(4)
    x, y = torch.randn(2100, 2, generator=rng), torch.randn(1500, 2, generator=rng)  # three and two blocks
    at_once = energy(compared(x, y)).value
    assert energy_distance(x, y).item() == pytest.approx(at_once, rel=1e-10)
    assert energy_distance(x, y).dtype == torch.float64


def test_energy_of_one_cell_is_refused():
    with pytest.raises(ValueError, match="two cells or more, found 1 and 2"):
        energy_distance(column(0), column(1, 2))
