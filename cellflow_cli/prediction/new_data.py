"""Whether cells to predict from are like the control cells that a model was trained on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from cellflow_cli.data.blocks import ROWS_PER_BLOCK
from cellflow_cli.data.columns import where
from cellflow_cli.data.populations import PopulationRows
from cellflow_cli.data.profile import Profile, Profiles, ProfileTally, differs, nearest_difference
from cellflow_cli.errors import DataError, listed

if TYPE_CHECKING:
    import anndata

    from cellflow_cli.data.transform import FeatureTransform

_NEGATIVE = 0.01  # share of values below zero in data that should have none
_CELLS, _SHARE = 3, 0.05  # cells and their share that have to lie outside before a feature is named


def new_data_warnings(
    transform: "FeatureTransform",
    profiles: Profiles | None,
    adata: "anndata.AnnData",
    populations: Sequence[PopulationRows],
    min_coverage: float = 1.0,
) -> list[str]:
    """Warnings that control cells are on another scale than those of training, or outside their range.

    Args:
        transform: Of the model.
        profiles: Of its training controls; None, as in models of an older version, finds constant cells only.
        adata: Holds the cells; not modified.
        populations: Control populations to predict from.
        min_coverage: As in `FeatureTransform.apply`.

    Raises:
        DataError: If all cells of a population are the same.
        BundleError: As `FeatureTransform.expression`.
    """
    of_scale: dict[str, list[str]] = {}
    of_features: dict[str, list[str]] = {}
    for population in populations:
        profile, outside = _read(transform, profiles, adata, population.rows, min_coverage)
        _check_varies(profile, population, adata)
        if profiles is None:
            continue
        if text := scale_text(profile, profiles):
            of_scale.setdefault(text, []).append(population.name)
        elif text := _feature_text(transform.genes, profile, profiles, outside):
            of_features.setdefault(text, []).append(population.name)
    return [
        *(
            f"the control cells of {listed(names)} are not on the scale of the training controls: {text}. "
            "The prediction is not to be trusted; transform them as the training data were"
            for text, names in of_scale.items()
        ),
        *(
            f"in the control cells of {listed(names)}, {text}. Other features of their prediction are "
            "affected too; check these features, or train without them"
            for text, names in of_features.items()
        ),
    ]


def scale_text(cells: Profile, training: Profiles) -> str:
    """How the scale of some cells differs from that of the training controls; empty if it does not."""
    high = f"values from {cells.low.min():.4g} to {cells.high.max():.4g}"
    known = f"training controls from {training.low.min():.4g} to {training.high.max():.4g}"
    if cells.whole and cells.high.max() > 1 and not any(p.whole for p in training.each):
        return f"whole numbers only (raw counts?), {high}, {known}"
    if cells.negative > _NEGATIVE and not any(p.negative for p in training.each):
        return f"{cells.negative:.0%} of the values are below zero (standardised?), {high}, {known}"
    found = nearest_difference(cells, training.each)
    if found is None:
        return ""
    n = min(cells.n, *(p.n for p in training.each))
    if not differs(found, training.each, n, training.own):
        return ""
    if found.most > abs(found.level) / 2:
        factor = np.exp(max(found.size, found.spread, key=abs))
        how = f"by a factor of {factor:.2g} (another cofactor, logarithm, total, or no transform?)"
    else:
        how = f"means are at {np.exp(found.level):.2g} of what they were (standardised?)"
    return f"{how}, {high}, {known}"


def _check_varies(profile: Profile, population: PopulationRows, adata: "anndata.AnnData") -> None:
    if not profile.is_constant:
        return
    found = "zero in all features" if not profile.high.any() else "the same in all features"
    raise DataError(
        f"Expected control cells that differ from each other, found {profile.n} cells of "
        f"{population.name!r} that are {found}.{where(adata.obs)} Give measured cells, or leave this sample "
        "out with `--samples`."
    )


def _read(
    transform: "FeatureTransform",
    training: Profiles | None,
    adata: "anndata.AnnData",
    rows: Int[np.ndarray, " n"],
    min_coverage: float,
) -> tuple[Profile, Int[np.ndarray, " g"]]:
    """Profile of some cells, and how many lie beyond the training range by its width, by feature."""
    tally, outside = ProfileTally(len(transform.genes)), np.zeros(len(transform.genes), dtype=np.int64)
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        cells = transform.expression(adata, rows[start : start + ROWS_PER_BLOCK], min_coverage)
        tally.add(cells)
        if training is not None:
            width = training.high - training.low
            slack = 1e-5 * np.maximum(np.abs(training.low), np.abs(training.high))  # expression is float32
            beyond = np.maximum(training.low - cells, cells - training.high)
            outside += (beyond > width + slack).sum(0)
    return tally.profile(), outside


def _feature_text(
    genes: Sequence[str], cells: Profile, training: Profiles, outside: Int[np.ndarray, " g"]
) -> str:
    """Which features were constant in training and are not now, or lie far outside the training range."""
    far = outside >= max(_CELLS, _SHARE * cells.n)
    constant = training.low == training.high

    def named(chosen: np.ndarray) -> str:
        shown = [
            f"{genes[i]!r} (training {training.low[i]:.4g} to {training.high[i]:.4g}, here "
            f"{cells.low[i]:.4g} to {cells.high[i]:.4g})"
            for i in chosen[:5]
        ]
        return ", ".join(shown) + (f" and {len(chosen) - 5} more" if len(chosen) > 5 else "")

    texts = []
    if (chosen := np.flatnonzero(far & constant)).size:
        texts.append(f"features that were constant in training have other values: {named(chosen)}")
    if (chosen := np.flatnonzero(far & ~constant)).size:
        texts.append(f"features lie far outside the range of the training controls: {named(chosen)}")
    return "; ".join(texts)
