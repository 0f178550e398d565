"""Correlations and variances against cells whose moments are built in."""

import math

import pytest
import torch

from cellflow_cli.metrics import Comparison
from cellflow_cli.metrics.r2_delta import r2_delta
from cellflow_cli.metrics.r2_features import r2_features
from cellflow_cli.metrics.r2_mean import r2_mean
from cellflow_cli.metrics.r_features import r_features
from cellflow_cli.metrics.variance_ratio import variance_ratio


def noise(n, d, seed):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def with_means(means, seed, n=20):
    cells = noise(n, len(means), seed)
    return cells - cells.mean(0) + torch.tensor(means, dtype=torch.float64)


def with_correlations(a, b, c, seed, n=40):
    """Cells of three features whose sample correlations are exactly a, b, c."""
    raw = noise(n, 3, seed)
    centred = raw - raw.mean(0)
    white = centred @ torch.linalg.inv(torch.linalg.cholesky(centred.T @ centred)).T
    wanted = torch.tensor([[1, a, b], [a, 1, c], [b, c, 1]], dtype=torch.float64)
    return 5 + white @ torch.linalg.cholesky(wanted).T * torch.tensor([1.0, 10.0, 0.1])


def compared(predicted, target, control=None):
    return Comparison(predicted=predicted, target=target, control=target if control is None else control)


def test_r2_mean_of_known_means():
    # corr((1, 2, 3), (1, 2, 4))^2 = 3^2 / (2 * 42 / 9)
    comparison = compared(with_means([1, 2, 3], 0), with_means([1, 2, 4], 1, n=33))
    assert r2_mean(comparison).value == pytest.approx(27 / 28, rel=1e-12)


def test_r2_delta_of_known_changes():
    control = with_means([10, -5, 0], 2, n=11)
    comparison = compared(with_means([11, -3, 3], 0), with_means([11, -3, 4], 1), control)
    assert r2_delta(comparison).value == pytest.approx(27 / 28, rel=1e-12)


def test_r2_delta_without_a_change():
    control, other = with_means([1, 2, 3], 0), with_means([2, 2, 2], 1)
    assert r2_delta(compared(control, other, control)).value is None
    assert "predicted change" in r2_delta(compared(control, other, control)).reason
    assert "real change" in r2_delta(compared(other, control, control)).reason
    assert "no control cells" in r2_delta(compared(other, control, control[:0])).reason


def test_feature_correlations_of_known_matrices():
    comparison = compared(with_correlations(0.1, 0.2, 0.3, 0), with_correlations(0.1, 0.2, 0.4, 1))
    assert r_features(comparison).value == pytest.approx(math.sqrt(27 / 28), rel=1e-10)
    assert r2_features(comparison).value == pytest.approx(27 / 28, rel=1e-10)
    assert r_features(comparison).reason == ""


def test_r_features_keeps_the_sign_and_r2_features_does_not():
    comparison = compared(with_correlations(0.1, 0.2, 0.3, 0), with_correlations(0.3, 0.2, 0.1, 1))
    assert r_features(comparison).value == pytest.approx(-1, rel=1e-10)
    assert r2_features(comparison).value == pytest.approx(1, rel=1e-10)


def test_a_constant_feature_is_left_out_and_named():
    predicted, target = with_correlations(0.1, 0.2, 0.3, 0), with_correlations(0.1, 0.2, 0.4, 1)
    ones = torch.full((40, 1), 0.1, dtype=torch.float64)
    value = r_features(compared(torch.cat([predicted, ones], 1), torch.cat([target, target[:, :1] ** 2], 1)))
    assert value.value == pytest.approx(math.sqrt(27 / 28), rel=1e-10)
    assert "of 4 1 in predicted, 0 in target" in value.reason


def test_rounding_is_not_variation():
    predicted = with_correlations(0.1, 0.2, 0.3, 0).float()
    predicted[:, 2] = 1 + torch.arange(40) % 2 * 1.2e-7  # two neighbouring float32 numbers
    value = r_features(compared(predicted, with_correlations(0.1, 0.2, 0.4, 1)))
    assert value.value is None
    assert "fewer than three features" in value.reason


@pytest.mark.parametrize("metric", [r2_mean, r2_delta, r_features, r2_features])
def test_two_features_have_no_correlation_worth_the_name(metric):
    x = noise(30, 2, 3)
    value = metric(compared(x, x + 1, x - 1))
    assert value.value is None
    assert "fewer than three" in value.reason


def test_equal_means_have_no_correlation():
    value = r2_mean(compared(with_means([1, 2, 3], 0), with_means([4, 4, 4], 1)))
    assert value.value is None


def test_genes_and_flow_features_are_told_apart():
    flow = noise(20, 3, 4)
    comparison = Comparison(
        predicted=flow, target=2 * flow, control=flow,
        predicted_genes=with_means([1, 2, 3, 0], 0), target_genes=with_means([1, 2, 3, 0], 1),
        control_genes=with_means([0, 0, 0, 0], 2),
    )  # fmt: skip
    assert r2_mean(comparison).value == pytest.approx(1)
    assert variance_ratio(comparison).value == pytest.approx(0.25)


def test_variance_ratio_by_scaling():
    x = noise(50, 6, 5)
    assert variance_ratio(compared(3 * x - 7, x)).value == pytest.approx(9, rel=1e-12)


def test_variance_ratio_uses_n_minus_one():
    # Variances 2 and 1 for sets of two and three cells.
    predicted, target = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    assert variance_ratio(compared(predicted, target)).value == pytest.approx(2, rel=1e-12)


def test_variance_ratio_without_real_variance():
    value = variance_ratio(compared(noise(5, 2, 6), torch.ones(5, 2)))
    assert value.value is None
    assert "no variance" in value.reason


def test_a_collapsed_prediction_has_ratio_zero():
    assert variance_ratio(compared(torch.ones(5, 2), noise(5, 2, 7))).value == 0
