"""The method of CONTRIBUTING.md as a plug-in: trained, saved, loaded, predicted and evaluated."""

import importlib.metadata
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cellflow_cli as cf
from cellflow_cli.catalog import Catalog
from cellflow_cli.embedders import cover
from cellflow_cli.methods import Method
from cellflow_cli.rng import stream
from tests.model.conftest import TINY, make_cohort, make_spec

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def plugged_in(tmp_path, monkeypatch):
    """A package of somebody else, with the second block of Python on the page as its only module."""
    (tmp_path / "their_package").mkdir()
    text = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "their_package" / "shift.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    point = importlib.metadata.EntryPoint("shift", "their_package.shift:ENTRY", "cellflow.methods")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [point] if group == point.group else []
    )
    yield
    sys.modules.pop("their_package.shift", None)


@pytest.mark.usefixtures("plugged_in")
def test_a_method_of_another_package_goes_all_the_way(tmp_path):
    assert "shift" in Catalog("methods").names()
    cohort, training = (
        make_cohort(n=200),
        cf.TrainingConfig(**{**vars(TINY), "steps": 150, "learning_rate": 3e-2}),
    )
    method = {"name": "shift", "width": 16}
    model = cf.train(cohort, make_spec(), method=method, training=training, device="cpu")
    assert isinstance(model.method, Method)
    model.save(tmp_path / "model")
    loaded = cf.load(tmp_path / "model")
    assert loaded.config.method.config.width == 16
    predicted = loaded.predict(cohort)
    assert np.array_equal(predicted.X, model.predict(cohort).X)
    scores = cf.evaluate(predicted, cohort, cf.EvaluationConfig(metrics=("energy",), audit=False))
    means = {name: of["energy"].mean for name, of in scores.summary().predictors.items()}
    # it is the mean shift, learned: as good as the baseline, to the noise of a few steps
    assert means["model"] < 0.6 * means["identity"]
    assert means["model"] == pytest.approx(means["mean-shift"], abs=0.1)


@pytest.mark.usefixtures("plugged_in")
def test_its_cells_move_on_straight_lines(shape, pairs):
    method = Catalog("methods").build(Catalog("methods").choose("shift"), shape)
    method.fit_units(pairs, torch.ones(3))
    assert method.is_straight
    source = pairs[0].source
    blocks = cover(source, 1, -1, stream(0))
    conditioning = method.prepare(blocks, shape.encode([pairs[0].condition], source.covariates[None]))
    x0 = source.cells
    with torch.no_grad():
        path = method.transport(x0, conditioning, (0.0, 0.5, 1.0)).cells
    assert torch.equal(path[0], x0)
    assert torch.allclose(path[1], (x0 + path[2]) / 2, atol=1e-6)
