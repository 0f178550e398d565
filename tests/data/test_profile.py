"""Scales are compared by medians over features; the numbers in the docs are those of real patients."""

import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.data.profile import Profiles, ProfileTally, differs, nearest_difference


def profile(*blocks):
    tally = ProfileTally(blocks[0].shape[1])
    for block in blocks:
        tally.add(block)
    return tally.profile()


def patients(n=6, n_cells=200, n_features=15, seed=0):
    """Positive values whose means differ from feature to feature and a little from patient to patient."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.5, 4, n_features)
    return [
        np.abs(level * rng.lognormal(0, 0.15, n_features) + rng.normal(0, 0.6, (n_cells, n_features)))
        for _ in range(n)
    ]


def test_moments_and_range_are_those_of_numpy_dense_or_sparse():
    x = np.random.default_rng(0).poisson(0.7, (50, 7)).astype(np.float32)
    x[:, 3] = 0
    for kind in (np.asarray, sp.csr_matrix):
        found = profile(kind(x[:20]), kind(x[20:]))
        np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-6)
        np.testing.assert_allclose(found.std, x.std(0), rtol=1e-6)
        np.testing.assert_array_equal(found.low, x.min(0))
        np.testing.assert_array_equal(found.high, x.max(0))
        assert found.whole
        assert found.negative == 0
    assert not profile(x - 0.5).whole
    assert profile(x - 0.5).negative == pytest.approx((x == 0).mean())


def test_profiles_survive_a_file():
    known = Profiles([profile(x) for x in patients()])
    again = Profiles.from_arrays(known.arrays())
    np.testing.assert_array_equal(again.high, known.high)
    assert again.own == known.own
    assert Profiles.from_arrays({}) is None
    with pytest.raises(ValueError, match="lack std"):
        Profiles.from_arrays({k: v for k, v in known.arrays().items() if k != "profile_std"})
    endless = {**known.arrays(), "profile_facts": known.arrays()["profile_facts"] + np.inf}
    with pytest.raises(ValueError, match="not finite"):
        Profiles.from_arrays(endless)


def test_more_populations_than_are_kept_still_give_the_whole_range():
    cells = [np.full((2, 1), float(i)) for i in range(120)]
    known = Profiles([profile(x) for x in cells])
    assert len(known.each) <= Profiles.MOST
    assert known.high[0] == 119


CHANGES = {
    "raw": lambda x: 5 * np.sinh(x),
    "cofactor": lambda x: np.arcsinh(5 * np.sinh(x) / 150),
    "log2": lambda x: x / np.log(2),
    "log1p again": np.log1p,
    "total": lambda x: np.log1p(np.expm1(x) * 100),
    "standardised": lambda x: (x - x.mean(0)) / x.std(0),
    "percent": lambda x: x * 100,
}


def is_flagged(cells, training):
    known = Profiles([profile(x) for x in training])
    found = nearest_difference(profile(cells), known.each)
    return differs(found, known.each, len(cells), known.own)


@pytest.mark.parametrize("n_training", [1, 2, 5])
def test_a_patient_left_out_is_alike_and_a_changed_one_is_not(n_training):
    cells = patients()
    for i in range(len(cells)):
        training = [x for j, x in enumerate(cells) if j != i][:n_training]
        assert not is_flagged(cells[i], training)
    for change in CHANGES.values():
        assert is_flagged(change(cells[0]), cells[1 : 1 + n_training])


def test_few_cells_are_no_other_scale():
    cells = patients(n_cells=400)
    for n in (3, 5, 10, 20):
        assert not any(is_flagged(cells[0][start : start + n], cells[1:]) for start in range(0, 300, 20))


def test_means_of_centred_features_say_nothing_of_the_scale():
    rng = np.random.default_rng(1)
    cells = [rng.normal(0, 1, (200, 6)) + rng.normal(0, 0.3, 6) for _ in range(5)]
    assert not any(is_flagged(cells[i], cells[:i] + cells[i + 1 :]) for i in range(5))


@pytest.mark.filterwarnings("error")
def test_values_beyond_float32_count_as_zero_and_say_nothing_else():
    x = np.ones((3, 2))
    x[0, 1], x[1, 0] = 1e300, np.nan
    for kind in (np.asarray, sp.csr_matrix):
        np.testing.assert_allclose(profile(kind(x)).mean, 2 / 3)
