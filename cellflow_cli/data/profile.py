"""How the values of some cells are distributed, feature by feature, and whether two sets share a scale.

Patients differ in some features; another transform, cofactor, base of the logarithm or total changes most of
them at once. So scales are compared by medians over features, which patients hardly move.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from cellflow_cli.data.blocks import ROWS_PER_BLOCK, is_sparse

if TYPE_CHECKING:
    import anndata

    from cellflow_cli.data.transform import FeatureTransform

LIMIT = 0.27
"""|log ratio| of scales beyond which they differ (a factor of 1.31).

Measured: a patient left out of real data is within 0.09 of the nearest other one; values in log2 instead of
the natural logarithm are at 0.37, a cofactor of 1 instead of 5 at 0.35, and other changes further away.
"""
LEVEL_LIMIT = 0.7
"""The same for the level of the means (a factor of 2): standardised values have none."""
_FEW = 3  # sets below which the nearest one may be far away by chance
_FLOOR = 1e-3
_AGREE = 0.7  # cosine of the means of two patients; above 0.9 in real data that are not centred


@dataclass(frozen=True, eq=False, kw_only=True)
class Profile:
    """Moments and range of n cells per feature.

    Attributes:
        n: Cells.
        mean, std: Float64, shape [g], in units of the values.
        low, high: Smallest and largest value, float64, shape [g].
        negative: Share of the values below zero.
        whole: Whether all values are whole numbers.
    """

    n: int
    mean: Float64[np.ndarray, " g"]
    std: Float64[np.ndarray, " g"]
    low: Float64[np.ndarray, " g"]
    high: Float64[np.ndarray, " g"]
    negative: float
    whole: bool

    @property
    def is_constant(self) -> bool:
        """Whether two cells or more are all the same."""
        return self.n > 1 and bool((self.low == self.high).all())

    def at(self, features: Int[np.ndarray, " k"]) -> "Profile":
        """The same of some features."""
        return Profile(
            n=self.n, mean=self.mean[features], std=self.std[features], low=self.low[features],
            high=self.high[features], negative=self.negative, whole=self.whole,
        )  # fmt: skip


class ProfileTally:
    """Sums over blocks of cells, from which a profile is made; values beyond float32 count as zero."""

    def __init__(self, width: int) -> None:
        self.n, self._negative, self._whole = 0, 0, True
        self._sum, self._squares = np.zeros(width), np.zeros(width)
        self._low, self._high = np.full(width, np.inf), np.full(width, -np.inf)

    def add(self, values: Any) -> None:
        """Take in a dense or CSR block, shape [r, g]."""
        rows, width = values.shape
        if not rows or width != len(self._sum):
            return
        data = np.asarray(values.data if is_sparse(values) else values, dtype=np.float64)
        finite = np.abs(data) <= np.finfo(np.float32).max
        if not finite.all():
            data = np.where(finite, data, 0.0)
        self.n += rows
        self._negative += int((data < 0).sum())
        self._whole = self._whole and bool((data == np.floor(data)).all())
        if not is_sparse(values):
            self._sum += data.sum(0)
            self._squares += np.square(data).sum(0)
            low, high = data.min(0), data.max(0)
        else:
            at = np.asarray(values.indices)
            self._sum += np.bincount(at, data, minlength=width)
            self._squares += np.bincount(at, np.square(data), minlength=width)
            low, high = np.full(width, np.inf), np.full(width, -np.inf)
            np.minimum.at(low, at, data)
            np.maximum.at(high, at, data)
            sparse = np.bincount(at, minlength=width) < rows
            low[sparse], high[sparse] = np.minimum(low[sparse], 0), np.maximum(high[sparse], 0)
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)

    def profile(self) -> Profile:
        """The profile of all blocks so far."""
        n, width = max(self.n, 1), max(len(self._sum), 1)
        mean = self._sum / n
        variance = np.maximum(self._squares / n - np.square(mean), 0.0)
        variance[self._low == self._high] = 0.0
        none = self.n == 0
        return Profile(
            n=self.n, mean=mean, std=np.sqrt(variance),
            low=np.zeros_like(mean) if none else self._low, high=np.zeros_like(mean) if none else self._high,
            negative=self._negative / (n * width), whole=self._whole,
        )  # fmt: skip


class Difference(NamedTuple):
    """Log ratios of the scales of two sets of cells, each a median over the features that both vary in.

    Attributes:
        size: Of the root mean square, over the larger half of the features.
        spread: Of the standard deviation.
        level: Of the slope of one set's means on the other's, through zero.
    """

    size: float
    spread: float
    level: float

    @property
    def most(self) -> float:
        """The largest of size and spread."""
        return max(abs(self.size), abs(self.spread))

    @property
    def least(self) -> float:
        """The smaller of size and spread; zero where they point in opposite directions."""
        return min(abs(self.size), abs(self.spread)) if self.size * self.spread > 0 else 0.0


def difference(one: Profile, other: Profile) -> Difference | None:
    """How the scale of `one` differs from that of `other`; None where no feature varies in both."""
    both = (one.std > 0) & (other.std > 0)
    if not both.any():
        return None
    a, b = (np.hypot(p.mean, p.std)[both] for p in (one, other))
    larger = np.maximum(a, b) >= np.median(np.maximum(a, b))
    spread = np.median(np.log(one.std[both] / other.std[both]))
    against = float(other.mean[both] @ other.mean[both])
    slope = float(one.mean[both] @ other.mean[both]) / against if against > 0 else 1.0
    level = float(np.log(min(max(slope, _FLOOR), 1 / _FLOOR)))
    return Difference(float(np.median(np.log(a[larger] / b[larger]))), float(spread), level)


def nearest_difference(one: Profile, others: Sequence[Profile]) -> Difference | None:
    """The smallest difference of each kind from any of the others; None where nothing can be compared."""
    found = [d for other in others if (d := difference(one, other))]
    if not found:
        return None
    if len(found) < _FEW:
        return min(found, key=lambda d: d.least)._replace()
    return Difference(*(min(values, key=abs) for values in zip(*found, strict=True)))


def differs(
    found: Difference,
    references: Sequence[Profile],
    n_cells: int,
    own: Sequence[Difference] = (),
    n_others: int | None = None,
) -> bool:
    """Whether a difference is beyond what the reference sets differ by among themselves.

    Args:
        found: From the nearest reference set.
        references: The reference sets.
        n_cells: Of the smaller set; few cells differ by chance, measured as 0.2 at 20 and 0.7 at 5.
        own: Of each reference set from the nearest other one.
        n_others: Number of reference sets there were to be near to, default: that of `references`; with fewer
            than three, size and spread have to agree.
    """
    chance = 3.0 / max(n_cells, 1)
    limit = max([LIMIT, *(1.5 * d.most for d in own)]) + chance
    level = max([LEVEL_LIMIT, *(1.5 * abs(d.level) for d in own)]) + chance
    several = (len(references) if n_others is None else n_others) >= _FEW
    distance = found.most if several else found.least
    return distance > limit or (abs(found.level) > level and _have_a_level(references))


def _have_a_level(profiles: Sequence[Profile]) -> bool:
    """Whether means are a trait of the scale: they agree, or exceed the spread where few can agree.

    The means of centred features are those of the patients, and say nothing of the scale.
    """
    means = np.stack([p.mean for p in profiles])
    sizes = np.linalg.norm(means, axis=1)
    if len(profiles) < _FEW:
        return bool((sizes > [np.linalg.norm(p.std) for p in profiles]).all())
    unit = means / np.maximum(sizes, 1e-300)[:, None]
    return bool((unit @ unit.T).min() > _AGREE)


class Profiles:
    """Profiles of the control populations that a model was trained on, and the range of all their cells."""

    MOST = 50
    """Populations that are kept; of more, every second or third one and so on."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        if not profiles:
            raise ValueError("no profiles")
        self.low = np.min([p.low for p in profiles], axis=0)
        self.high = np.max([p.high for p in profiles], axis=0)
        self.each = tuple(profiles[:: math.ceil(len(profiles) / self.MOST)])

    @cached_property
    def own(self) -> tuple[Difference, ...]:
        """The difference of each profile from the nearest other one."""
        if len(self.each) < _FEW:
            return ()
        found = (nearest_difference(p, [q for q in self.each if q is not p]) for p in self.each)
        return tuple(d for d in found if d)

    def arrays(self) -> dict[str, np.ndarray]:
        """All numbers by name, for a file."""
        return {
            "profile_mean": np.stack([p.mean for p in self.each]),
            "profile_std": np.stack([p.std for p in self.each]),
            "profile_low": self.low,
            "profile_high": self.high,
            "profile_facts": np.array([[p.n, p.negative, p.whole] for p in self.each], dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "Profiles | None":
        """The reverse; None where the arrays are those of an older version, which kept no profiles.

        Raises:
            ValueError: If some are missing, do not fit each other, or are not finite.
        """
        names = ("mean", "std", "low", "high", "facts")
        parts = {n: np.asarray(arrays[f"profile_{n}"], float) for n in names if f"profile_{n}" in arrays}
        if not parts:
            return None
        if missing := [name for name in names if name not in parts]:
            raise ValueError(f"profiles lack {', '.join(missing)}")
        n, width = parts["mean"].shape if parts["mean"].ndim == 2 else (0, 0)
        shapes = {"std": (n, width), "low": (width,), "high": (width,), "facts": (n, 3)}
        if not n or any(parts[name].shape != shape for name, shape in shapes.items()):
            raise ValueError("profiles of different numbers of populations or features")
        if not all(np.isfinite(values).all() for values in parts.values()):
            raise ValueError("profiles of numbers that are not finite")
        return cls([
            Profile(
                n=int(facts[0]), mean=mean, std=std, low=parts["low"], high=parts["high"],
                negative=float(facts[1]), whole=bool(facts[2]),
            )
            for mean, std, facts in zip(parts["mean"], parts["std"], parts["facts"], strict=True)
        ])  # fmt: skip


def profile_of(
    transform: "FeatureTransform",
    adata: "anndata.AnnData",
    rows: Int[np.ndarray, " n"],
    min_coverage: float = 1.0,
) -> Profile:
    """Profile of some cells in the expression space of a model, block by block.

    Raises:
        BundleError, DataError: As `FeatureTransform.expression`.
    """
    tally = ProfileTally(len(transform.genes))
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        tally.add(transform.expression(adata, rows[start : start + ROWS_PER_BLOCK], min_coverage))
    return tally.profile()
