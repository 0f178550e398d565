import numpy as np
import scipy.sparse as sp

from cellflow_cli.data.digest import copies, digests, weights

NAMES = [f"g{i}" for i in range(9)]


def cells(n=40, seed=0):
    return np.random.default_rng(seed).poisson(2.0, (n, len(NAMES))).astype(np.float32)


def test_a_digest_is_of_the_values_by_name():
    x, weight = cells(), weights(NAMES)
    marks = digests(x, weight)
    np.testing.assert_array_equal(digests(sp.csr_matrix(x), weight), marks)
    np.testing.assert_array_equal(digests(x.astype(np.float64), weight), marks)
    order = np.random.default_rng(1).permutation(len(NAMES))
    np.testing.assert_array_equal(digests(x[:, order], weights([NAMES[i] for i in order])), marks)
    assert len(np.unique(marks)) == len(np.unique(x, axis=0))
    x[3, 4] += 1
    assert (digests(x, weight) != marks).sum() == 1


def test_copies_are_found_and_chance_is_not():
    weight = weights(NAMES)
    x = np.random.default_rng(0).normal(size=(90, len(NAMES)))
    marks = digests(x, weight)
    assert copies({"a": marks[:40], "b": marks[40:]}) == []
    assert copies({"a": marks[:40], "b": marks[10:50], "c": marks[60:]}) == [("a", "b", 30)]
    flat = digests(np.random.default_rng(1).integers(0, 2, (80, 2)).astype(float), weights(["x", "y"]))
    assert copies({"a": flat[:40], "b": flat[40:]}) == []  # few values: equal cells mean nothing
    none = np.zeros(30, dtype=np.uint64)
    assert copies({"a": none, "b": none}) == []
