"""Scores as files that appear whole or not at all."""

import json

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.errors import OutputError
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.summary import Settings
from tests.statistics.tables import ENERGY, few_scores


def test_missing_values_of_the_model():
    gap = {**ENERGY, "model": {"P1": [1.0, np.nan, 6.0], "P2": [5.0]}}
    assert len(few_scores(gap).missing(["energy"])) == 1
    assert few_scores(gap).missing(["variance-ratio"]).empty
    assert few_scores().missing(["energy"]).empty  # what baselines lack is not the prediction's failure


def test_files(tmp_path):
    few_scores().save(tmp_path / "deep" / "report")
    folder = tmp_path / "deep" / "report"
    assert sorted(path.name for path in folder.iterdir()) == ["scores.csv", "summary.json"]
    table = pd.read_csv(folder / "scores.csv", keep_default_na=False, na_values=[""])
    assert list(table.columns) == Scores.COLUMNS
    assert len(table) == len(few_scores().table)
    assert json.loads((folder / "summary.json").read_text("utf-8")) == few_scores().summary().to_json()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report"]


def test_an_existing_report_is_replaced_only_by_force(tmp_path):
    few_scores().save(tmp_path / "report")
    before = (tmp_path / "report" / "summary.json").read_text("utf-8")
    changed = few_scores(settings=Settings(seed=9))
    with pytest.raises(OutputError, match="--force"):
        changed.save(tmp_path / "report")
    assert (tmp_path / "report" / "summary.json").read_text("utf-8") == before
    changed.save(tmp_path / "report", force=True)
    assert json.loads((tmp_path / "report" / "summary.json").read_text("utf-8"))["settings"]["seed"] == 9
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_force_replaces_nothing_but_reports(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious.h5ad").write_text("cells")
    with pytest.raises(OutputError, match=r"found 'precious.h5ad' in it"):
        few_scores().save(tmp_path / "data", force=True)
    with pytest.raises(OutputError, match="found the file"):
        few_scores().save(tmp_path / "data" / "precious.h5ad", force=True)
    assert (tmp_path / "data" / "precious.h5ad").read_text() == "cells"


def test_nothing_is_left_of_a_write_that_fails(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OutputError, match="No space left"):
        few_scores().save(tmp_path / "report")
    assert list(tmp_path.iterdir()) == []
