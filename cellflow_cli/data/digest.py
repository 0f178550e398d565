"""One number per cell that equal cells share, to find cells that occur twice.

    digest_i = sum_j mix(bits of x_ij) w_j   modulo 2^64

The weights w depend on the names of the features alone, so their order does not matter; a zero adds nothing,
so dense and sparse matrices agree.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt64

from cellflow_cli.data.blocks import is_sparse

MIN_SHARE = 0.5
"""Share of the cells of a set that another must hold to be called a copy."""
MIN_CELLS = 5
_ROWS = 64  # of a dense block at a time: three arrays of 64 bits per value
_MIX = np.uint64(0x9E3779B97F4A7C15)


def weights(names: Sequence[str]) -> UInt64[np.ndarray, " g"]:
    """One odd number per feature name, shape [g]."""
    parts = (hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(parts), dtype=np.uint64) | np.uint64(1)


def digests(values: Any, weight: UInt64[np.ndarray, " g"]) -> UInt64[np.ndarray, " r"]:
    """Digest of each row of a dense or CSR block, shape [r]; values are compared as float32."""
    if is_sparse(values):
        parts = _mixed(np.asarray(values.data)) * weight[np.asarray(values.indices)]
        total = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(parts, dtype=np.uint64)])
        return total[values.indptr[1:]] - total[values.indptr[:-1]]
    values = np.asarray(values)
    out = np.zeros(len(values), dtype=np.uint64)
    for start in range(0, len(values), _ROWS):
        part = _mixed(values[start : start + _ROWS]) * weight
        out[start : start + _ROWS] = part.sum(axis=1, dtype=np.uint64)
    return out


def copies(sets: Mapping[str, UInt64[np.ndarray, " n"]]) -> list[tuple[str, str, int]]:
    """Pairs of sets that hold the same cells.

    Cells without any value and sets whose cells are mostly alike anyway (few features, few counts) are left
    aside: equal cells mean nothing there.

    Args:
        sets: Digests by name of the set.

    Returns:
        (one, other, cells that both hold), where they are at least half of the smaller set.
    """
    distinct = {}
    for name, of_set in sets.items():
        known = np.unique(of_set[of_set != 0])
        if len(known) >= max(MIN_CELLS, 0.9 * len(of_set)):
            distinct[name] = known
    names = list(distinct)
    if not names:
        return []
    everything = np.concatenate([distinct[name] for name in names])
    order = np.repeat(np.arange(len(names)), [len(distinct[name]) for name in names])
    _, at, size = np.unique(everything, return_inverse=True, return_counts=True)
    repeated = size[at] > 1
    involved = [names[i] for i in np.unique(order[repeated])]
    found = []
    for i, one in enumerate(involved):
        for other in involved[i + 1 :]:
            n = len(np.intersect1d(distinct[one], distinct[other], assume_unique=True))
            if n >= max(MIN_CELLS, MIN_SHARE * min(len(distinct[one]), len(distinct[other]))):
                found.append((one, other, n))
    return found


def _mixed(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # a value beyond float32 is refused elsewhere
        bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32).astype(np.uint64)
    bits *= _MIX
    bits ^= bits >> np.uint64(29)
    return bits
