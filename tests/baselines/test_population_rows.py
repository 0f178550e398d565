"""Nearest sample and ridge against answers that were planted, and ridge against scikit-learn."""

import numpy as np
import pytest
import torch

from cellflow_cli.baselines import BaselineRequest, summarise
from cellflow_cli.baselines.nearest_sample import NearestSample
from cellflow_cli.baselines.ridge import Ridge, RidgeConfig, ridge
from cellflow_cli.errors import ConfigError
from cellflow_cli.types import Condition, Population, PopulationPair

DRUG = Condition("drug")


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cohort(means, shifts, scale=None, condition=DRUG):
    """Samples whose control means and mean shifts are exactly the given ones."""
    pairs = []
    for i, (mean, shift) in enumerate(zip(means, shifts, strict=True)):
        noise = draw(40, len(mean), seed=i)
        cells = noise - noise.mean(0) + mean
        facts = {"sample": (f"P{i}",), "group": f"P{i}"}
        source = Population(**facts, cells=cells)
        target = Population(**facts, cells=cells.flip(0) + shift, condition=condition)
        pairs.append(PopulationPair(source=source, target=target))
    scale = torch.ones(len(means[0])) if scale is None else scale
    return summarise(pairs, scale, torch.Generator().manual_seed(0))


def around(mean, n=30):
    noise = draw(n, len(mean), seed=99)
    return noise - noise.mean(0) + torch.as_tensor(mean, dtype=torch.float64)


def moved(baseline, control, summaries, condition=DRUG, **more):
    request = BaselineRequest(control=control, sample="P9", condition=condition, **more)
    return baseline.predict(request, summaries, torch.Generator()) - control


def test_the_nearest_control_mean_decides():
    means, shifts = torch.tensor([[0.0, 0], [5, 0], [0, 5]]), torch.tensor([[1.0, 1], [2, 2], [3, 3]])
    summaries = cohort(means, shifts)
    for at, expected in (([0.5, 0.4], 1.0), ([4.0, 1.0], 2.0), ([1.0, 9.0], 3.0)):
        shift = moved(NearestSample(), around(at), summaries)
        torch.testing.assert_close(shift, torch.full_like(shift, expected))


def test_near_is_meant_in_training_spreads():
    means, shifts = torch.tensor([[0.0, 0], [30, 0]]), torch.tensor([[1.0, 1], [2, 2]])
    at = around([14.0, 0.0])
    # 14 and 16 along the first feature; 3 in the second decide once the first is divided by 100.
    means[0, 1] = 3.0
    assert moved(NearestSample(), at, cohort(means, shifts))[0, 0] == pytest.approx(1)
    scaled = cohort(means, shifts, scale=torch.tensor([100.0, 1.0]))
    assert moved(NearestSample(), at, scaled)[0, 0] == pytest.approx(2)


def test_the_whole_population_tells_where_the_sample_is():
    summaries = cohort(torch.tensor([[0.0, 0], [5, 0]]), torch.tensor([[1.0, 1], [2, 2]]))
    few = around([1.0, 0.0], n=3)  # an unlucky draw from a population near the second sample
    assert moved(NearestSample(), few, summaries)[0, 0] == pytest.approx(1)
    assert moved(NearestSample(), few, summaries, population=around([5.0, 0.0]))[0, 0] == pytest.approx(2)


def test_other_conditions_are_no_neighbours():
    summaries = cohort(torch.zeros(1, 2), torch.ones(1, 2), condition=Condition("other"))
    assert moved(NearestSample(), around([0.0, 0.0]), summaries, Condition("other"))[0, 0] == pytest.approx(1)


def test_ridge_recovers_a_planted_linear_map():
    means, matrix, offset = draw(60, 4, seed=1), draw(4, 4, seed=2), draw(4, seed=3)
    summaries = cohort(means, means @ matrix + offset)
    at = draw(4, seed=4)
    nearly_free = Ridge(RidgeConfig(penalty=1e-9))
    shift = moved(nearly_free, around(at), summaries)
    torch.testing.assert_close(shift[0], at @ matrix + offset, rtol=1e-6, atol=1e-6)


def test_an_infinite_penalty_leaves_the_mean_shift():
    means, shifts = draw(5, 3, seed=1), draw(5, 3, seed=2)
    shift = moved(Ridge(RidgeConfig(penalty=1e12)), around(draw(3, seed=4)), cohort(means, shifts))
    torch.testing.assert_close(shift[0], shifts.mean(0), rtol=1e-6, atol=1e-6)


def test_ridge_of_one_sample_is_its_shift():
    shift = moved(Ridge(RidgeConfig()), around([1.0, 2.0]), cohort(torch.zeros(1, 2), torch.ones(1, 2) * 3))
    torch.testing.assert_close(shift, torch.full_like(shift, 3))


def test_ridge_does_not_depend_on_the_units_of_a_feature():
    means, shifts, at = draw(6, 3, seed=1), draw(6, 3, seed=2), draw(3, seed=4)
    units = torch.tensor([1.0, 1000.0, 0.01], dtype=torch.float64)
    baseline = Ridge(RidgeConfig())
    plain = moved(baseline, around(at), cohort(means, shifts))[0]
    scaled = moved(baseline, around(at * units), cohort(means * units, shifts * units, scale=units))[0]
    torch.testing.assert_close(scaled / units, plain, rtol=1e-6, atol=1e-6)


def test_ridge_is_that_of_scikit_learn():
    import sklearn.linear_model

    x, y, at = draw(7, 4, seed=1) + 3, draw(7, 2, seed=2) - 1, draw(4, seed=3)
    # The eigenvalues of the Gram matrix of 7 centred rows, zero ones included.
    centred = (x - x.mean(0)).numpy()
    mean_eigenvalue = np.linalg.eigvalsh(centred @ centred.T).mean()
    other = sklearn.linear_model.Ridge(alpha=mean_eigenvalue).fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(ridge(x, y, at).numpy(), other.predict(at.numpy()[None])[0], rtol=1e-10)


def test_a_penalty_must_be_positive():
    with pytest.raises(ConfigError, match="Expected `penalty` above zero"):
        RidgeConfig(penalty=0)
