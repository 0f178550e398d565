"""Every option of a dataclass is declared once: its field is the option of each command that takes it."""

import dataclasses
from typing import Any

import pytest
import typer

from cellflow_cli.cli.app import app
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.evaluation.config import LIBRARY_ONLY, EvaluationConfig
from cellflow_cli.external.file_format import ExternalFormat
from cellflow_cli.flags import flags_of
from cellflow_cli.prediction.request import PredictionRequest

_NOT_IN_EVALUATE = (
    *("match_key", "dose_unit", "covariate_key", "pairs_key", "split_key"),
    *("min_cells", "drop_small", "drop_unpaired", "rename", "sample_name"),
)
TAKEN = [
    ("check", DataSpec, ()),
    ("train", DataSpec, ()),
    ("compare", DataSpec, ("holdout",)),
    ("evaluate", DataSpec, _NOT_IN_EVALUATE),
    ("evaluate", ExternalFormat, ()),
    ("evaluate", EvaluationConfig, LIBRARY_ONLY),
    ("compare", EvaluationConfig, ("definitions", "floor_splits", "audit", "cell_types", "seed")),
]


def options(name: str) -> dict[str, Any]:
    """Options of a command by their flags."""
    params = typer.main.get_command(app).commands[name].params
    return {opt: param for param in params for opt in (*param.opts, *param.secondary_opts)}


@pytest.mark.parametrize(("name", "cls", "without"), [*TAKEN, ("predict", PredictionRequest, ("like",))])
def test_options_are_the_fields(name: str, cls: type, without: tuple[str, ...]) -> None:
    known = options(name)
    for flag in flags_of(cls, without):
        assert set(flag.text.split("/")) <= known.keys()
        assert known[flag.on].help == flag.metadata["help"]
        assert known[flag.on].default is None  # what was not typed differs from what was


@pytest.mark.parametrize(("name", "cls", "without"), TAKEN)
def test_fields_that_are_left_out_have_no_option(name: str, cls: type, without: tuple[str, ...]) -> None:
    left_out = {flag.on for flag in flags_of(cls, only=without)} - {
        "--rename"
    }  # of the format, in `evaluate`
    assert not left_out & options(name).keys()


@pytest.mark.parametrize("cls", [DataSpec, EvaluationConfig, ExternalFormat, PredictionRequest])
def test_every_field_has_help(cls: type) -> None:
    for one in dataclasses.fields(cls):
        assert one.metadata["help"].endswith(".")
        assert len(one.metadata["help"]) < 160
