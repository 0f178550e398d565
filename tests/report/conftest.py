"""Projected cells of a few random populations, and a browser."""

import shutil

import numpy as np
import pytest

from cellflow_cli.report.cells import PlottedCells, PlottedPopulation, Projection
from cellflow_cli.report.data import scored_in
from cellflow_cli.statistics.feature_changes import feature_changes, marginals
from tests.statistics.planted import make_scores

__all__ = ["make_cells", "make_scores"]

MARKERS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7")
SHIFT = np.array([1, -0.5, 0.2, 0, 0, 0, 0])


def make_cells(scores, n=40):
    """Normal clouds, predicted cells shifted once and measured ones twice."""
    populations = []
    for i, one in enumerate(scored_in(scores.table).populations):
        rng = np.random.default_rng(i)
        three = [rng.normal(size=(n, len(MARKERS))) + shift * SHIFT for shift in (0, 1, 2)]
        changes = feature_changes(*three, MARKERS)
        points = dict(zip(("control", "predicted", "measured"), (c[:, :2] for c in three), strict=True))
        populations.append(
            PlottedPopulation(
                sample=one.sample, condition=one.condition.label, **points, changes=changes,
                marginals=marginals(changes, *three, MARKERS)[:3],
            )
        )  # fmt: skip
    projection = Projection(
        centre=np.zeros(7), scale=np.ones(7), directions=np.eye(7, 2), axes=("one", "two"), is_pca=False
    )
    return PlottedCells(projection=projection, basis="Planted.", unit="units", populations=tuple(populations))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium; tests that need it are skipped where there is none."""
    from tests.report.webdriver import Browser, chromium

    if chromium() is None:
        pytest.skip(
            f"no chromium with chromedriver found, only {shutil.which('chromium')!r}: the page is NOT tested"
        )
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()
