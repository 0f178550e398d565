"""Scores with planted differences, and pictures of a few random cells."""

import shutil

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.report._moves import marginal, moves
from cellflow_cli.report.pictures import Picture, Pictures
from cellflow_cli.report.split import split_of
from cellflow_cli.statistics.summary import Settings

MARKERS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7")


def make_scores(groups=8, treatments=("chemo", "drug"), missing=(), metrics=("energy", "w1"), **gaps):
    """Scores where every baseline's energy is that of the model plus its gap.

    Args:
        groups: How many.
        treatments: One population each in every group.
        missing: Pairs of row and metric without a value.
        metrics: Names; all have the same values.
        gaps: For each baseline a number, or one for each group, underscores for hyphens.
    """
    baselines = {name.replace("_", "-"): np.broadcast_to(gap, groups) for name, gap in gaps.items()}
    lines = []
    for g in range(groups):
        for k, treatment in enumerate(treatments):
            model = 0.2 + 0.01 * g + 0.02 * k
            rows = {
                "model": model,
                **{name: model + gap[g] for name, gap in baselines.items()},
                "floor": 0.001 * k,
            }
            for row, value in rows.items():
                for metric in metrics:
                    number = 0.9 if metric.startswith("variance") else value
                    absent = (row, metric) in missing
                    lines.append(
                        [f"P{g}", f"P{g}", treatment, 0.5 * (k + 1), row, metric,
                         np.nan if absent else number, "planted gap" if absent else "", 50 + g,
                         0.0001 if row == "floor" else np.nan]
                    )  # fmt: skip
    table = pd.DataFrame(lines, columns=[*Scores.COLUMNS, "se"])
    settings = Settings(
        max_cells=500, floor_splits=5, n_features=7, n_genes=7,
        prediction={"model_id": "abc", "method": "mfm", "version": "0.1.0"},
    )  # fmt: skip
    config = EvaluationConfig(metrics=tuple(metrics), max_cells=500)
    return Scores(
        table=table, metrics=tuple(metrics), baselines=tuple(baselines), config=config, settings=settings
    )


def make_pictures(scores, n=40):
    """Normal clouds, measured and predicted cells shifted."""
    found = []
    for i, population in enumerate(split_of(scores.table).populations):
        rng = np.random.default_rng(i)
        control, predicted, measured = (
            rng.normal(size=(n, len(MARKERS))) + shift * np.array([1, -0.5, 0.2, 0, 0, 0, 0])
            for shift in (0, 1, 2)
        )
        shown = [
            marginal(name, control[:, j], predicted[:, j], measured[:, j])
            for j, name in enumerate(MARKERS[:3])
        ]
        found.append(
            Picture(
                sample=population.sample, condition=population.condition.label, control=control[:, :2],
                predicted=predicted[:, :2], measured=measured[:, :2],
                moves=moves(control, predicted, measured, MARKERS), marginals=tuple(shown),
            )
        )  # fmt: skip
    return Pictures(axes=("one", "two"), basis="Planted.", unit="units", populations=tuple(found))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium; tests that ask for it are skipped where there is none."""
    from tests.report.webdriver import Browser, chromium

    if chromium() is None:
        pytest.skip(
            f"no chromium with chromedriver found, only {shutil.which('chromium')!r}: the page is NOT tested"
        )
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()
