"""What a metric is given, what it answers, and how it is entered in the catalog."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from cellflow_cli.metrics._correlation import FeatureCorrelations, feature_correlations
from cellflow_cli.metrics._differential import DifferentialFeatures, differential_features
from cellflow_cli.ot.cost import euclidean, euclidean_blocks

T = TypeVar("T")
Distances = Literal["between", "within_predicted", "within_target"]
Space = Literal["flow", "genes"]

# Entries of a distance matrix that is kept for the next metric: 200 MB, 5,000 x 5,000 cells.
MAX_KEPT = 5_000 * 5_000


class MetricValue(NamedTuple):
    """A number, or why there is none.

    Attributes:
        value: The metric, or None where it is undefined.
        reason: Why `value` is None; beside a number, a remark on how it was obtained.
    """

    value: float | None
    reason: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Predicted and measured cells of one condition, with the distance matrices that metrics share.

    Everything is float64, on the device it came from. A matrix is computed when the first metric
    needs it and then kept: 8 n m bytes each, 50 MB for 2,500 cells and 200 MB for 5,000. Larger
    ones are never whole in memory: sums go over `blocks`, which are computed anew each time.

    Attributes:
        predicted, target, control: Cells in the feature space of the flow, in the units the metrics
            should see (already divided by the training spread where scaling is on), shapes [n, d],
            [m, d], [k, d].
        predicted_genes, target_genes, control_genes: The same cells as genes or markers, unscaled,
            shapes [n, g], [m, g], [k, g]. They default to the flow features.
        other_targets: Mean measured cells of the same sample under each other condition, in the
            units of `target`, shape [o, d]; None where they are not known.
        other_targets_genes: The same as genes or markers, shape [o, g]; defaults to `other_targets`
            where the genes default to the flow features.
        other_errors: Squared sampling error of each of `other_targets`, the total variance of its cells over
            their number, shape [o]; None: none.
        scale: What the flow features were divided by, shape [d]; None if by nothing.
    """

    predicted: Float[Tensor, "n d"]
    target: Float[Tensor, "m d"]
    control: Float[Tensor, "k d"]
    predicted_genes: Float[Tensor, "n g"] | None = None
    target_genes: Float[Tensor, "m g"] | None = None
    control_genes: Float[Tensor, "k g"] | None = None
    other_targets: Float[Tensor, "o d"] | None = None
    other_targets_genes: Float[Tensor, "o g"] | None = None
    other_errors: Float[Tensor, " o"] | None = None
    scale: Float[Tensor, " d"] | None = None
    _memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _lock: Any = field(default_factory=threading.RLock, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.target_genes is None and self.other_targets_genes is None:
            object.__setattr__(self, "other_targets_genes", self.other_targets)
        for role in ("predicted", "target", "control"):
            cells = getattr(self, role).double()
            genes = getattr(self, f"{role}_genes")
            genes = cells if genes is None else genes.double()
            if cells.ndim != 2 or genes.ndim != 2 or len(cells) != len(genes):
                raise ValueError(f"cells and genes of {role} need shapes [n, d] and [n, g]")
            object.__setattr__(self, role, cells)
            object.__setattr__(self, f"{role}_genes", genes)
        for kind in ("", "_genes"):
            widths = {getattr(self, f"{role}{kind}").shape[1] for role in ("predicted", "target", "control")}
            if len(widths) != 1:
                raise ValueError(f"predicted, target and control differ in width: {sorted(widths)}")
        for name, cells in (("other_targets", self.target), ("other_targets_genes", self.genes[1])):
            others = getattr(self, name)
            if others is not None:
                object.__setattr__(self, name, others.double())
                if others.shape[1:] != cells.shape[1:]:
                    raise ValueError(f"{name.replace('_', ' ')} need the shape [o, {cells.shape[1]}]")

    @property
    def between(self) -> Float64[Tensor, "n m"]:
        """Euclidean distances from predicted to target cells, shape [n, m]."""
        return self.once("between", lambda: euclidean(self.predicted, self.target))

    @property
    def within_predicted(self) -> Float64[Tensor, "n n"]:
        """Euclidean distances among predicted cells, shape [n, n]."""
        return self.once("within_predicted", lambda: euclidean(self.predicted, self.predicted))

    @property
    def within_target(self) -> Float64[Tensor, "m m"]:
        """Euclidean distances among target cells, shape [m, m]."""
        return self.once("within_target", lambda: euclidean(self.target, self.target))

    def blocks(self, which: Distances) -> Iterator[Float64[Tensor, "k m"]]:
        """Rows of `between`, `within_predicted` or `within_target`, block by block.

        Of the kept matrix where it is small enough to be kept, otherwise computed for this walk.
        """
        x, y = {
            "between": (self.predicted, self.target),
            "within_predicted": (self.predicted, self.predicted),
            "within_target": (self.target, self.target),
        }[which]
        if len(x) * len(y) <= MAX_KEPT:
            yield getattr(self, which)
        else:
            yield from euclidean_blocks(x, y)

    @property
    def genes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Predicted, target and control cells as genes or markers."""
        assert self.predicted_genes is not None  # set in __post_init__
        assert self.target_genes is not None
        assert self.control_genes is not None
        return self.predicted_genes, self.target_genes, self.control_genes

    def unscaled(self, space: Space) -> "Comparison":
        """The cells of one space in their own units, as its `predicted`, `target`, `control` and others.

        For metrics that other projects define, which know one array per population. It is made once;
        where nothing was scaled, flow features share their distance matrices with this comparison.

        Args:
            space: Features of the flow, or genes (markers).
        """
        if space == "genes":
            return self.once("genes", lambda: self._of(*self.genes, self.other_targets_genes))
        scale = self.scale
        return self if scale is None else self.once("flow", lambda: self._times(scale.double()))

    def _times(self, scale: Tensor) -> "Comparison":
        others = None if self.other_targets is None else self.other_targets * scale
        return self._of(self.predicted * scale, self.target * scale, self.control * scale, others)

    @staticmethod
    def _of(predicted: Tensor, target: Tensor, control: Tensor, others: Tensor | None) -> "Comparison":
        return Comparison(predicted=predicted, target=target, control=control, other_targets=others)

    @property
    def correlations(self) -> FeatureCorrelations:
        """Feature-feature correlations of predicted and target cells."""
        predicted, target, _ = self.genes
        return self.once("correlations", lambda: feature_correlations(predicted, target))

    @property
    def differential(self) -> DifferentialFeatures:
        """Changes of genes or markers against the control cells."""
        return self.once("differential", lambda: differential_features(*self.genes))

    def non_finite(self) -> str:
        """Which of the cells hold NaN or infinite values, as text; empty if none do."""
        roles = ("predicted", "target", "control")
        bad = {
            r: int((~torch.isfinite(getattr(self, r))).sum())
            for r in [*roles, *(f"{r}_genes" for r in roles)]
        }
        return ", ".join(f"{count} non-finite values in {role}" for role, count in bad.items() if count)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What the first `make()` under this name returned: for what metrics share."""
        with self._lock:  # metrics may run side by side; the second one waits instead of repeating
            if name not in self._memo:
                self._memo[name] = make()
            return self._memo[name]


class Metric(NamedTuple):
    """Entry of a metric in the catalog.

    Attributes:
        function: Called as `function(comparison) -> MetricValue`.
        best: Which value is best: low, high, or one.
        symmetric: True where predicted and target may change places.
        space: What it looks at: features of the flow, or genes (markers).
        others: Whether it looks at the other conditions of the sample, too.
        change: Whether it looks at nothing but the mean change against the controls, which controls as a
            prediction have none of.
    """

    function: Callable[[Comparison], MetricValue]
    best: Literal["low", "high", "one"]
    symmetric: bool
    space: Space = "flow"
    others: bool = False
    change: bool = False
