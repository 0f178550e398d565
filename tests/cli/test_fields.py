"""A dataclass as options of a command, and what the command receives."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import OptionsOf
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError
from cellflow_cli.flags import to_flags


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of the command below."""

    key: str = field(metadata={"help": "Required.", "metavar": "COLUMN"})
    cells: int = field(default=20, metadata={"help": "A number.", "min": 2, "panel": "Compute"})
    scale: bool | None = field(default=None, metadata={"help": "A switch.", "default": "it depends"})
    names: tuple[str, ...] = field(default=(), metadata={"help": "Several.", "commas": True})
    obs: dict[str, str] = field(default_factory=dict, metadata={"help": "Pairs."})

    def __post_init__(self) -> None:
        if self.cells == 13:
            raise ConfigError("Expected another number, found 13.")


def typed(mark: OptionsOf, *words: str) -> Any:
    """What the command receives for the words that are typed, or the output where it is not called."""
    received = []
    made = typer.Typer()

    @made.command()
    @command
    def run(settings: Annotated[Any, mark]) -> None:
        received.append(settings)

    result = CliRunner().invoke(made, words, env={"COLUMNS": "120"})
    return received[0] if received else result


def test_a_command_receives_the_dataclass() -> None:
    words = ("--key", "k", "--cells", "3", "--no-scale", "--names", "a,b", "--names", "c", "--obs", "x=y")
    settings = Settings(key="k", cells=3, scale=False, names=("a", "b", "c"), obs={"x": "y"})
    assert typed(OptionsOf(Settings), *words) == settings
    assert typed(OptionsOf(Settings), *to_flags(settings)) == settings
    assert typed(OptionsOf(Settings), "--key", "k") == Settings(key="k")


def test_or_only_what_was_given() -> None:
    mark = OptionsOf(Settings, given=True)
    assert typed(mark) == {}
    assert typed(mark, "--cells", "20") == {"cells": 20}  # given, although it is the default


def test_or_an_instance_with_defaults_of_its_own() -> None:
    mark = OptionsOf(Settings(key="mine", names=("w1",)), without=("key",))
    assert typed(mark, "--cells", "7") == Settings(key="mine", names=("w1",), cells=7)
    assert "(w1)" in typed(mark, "--help").output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Missing option '--key'"),
        (("--key", "k", "--cells", "1"), "Invalid value for '--cells'"),
        (("--key", "k", "--cells", "13"), "Error: Expected another number, found 13."),
        (("--key", "k", "--obs", "x"), "Expected `--obs NAME=VALUE`, found 'x'."),
        (("--key", "k", "--names", ","), "Expected names after `--names`, found none."),
    ],
)
def test_what_is_refused(words: tuple[str, ...], message: str) -> None:
    result = typed(OptionsOf(Settings), *words)
    assert result.exit_code == 2
    assert message in result.output


def test_help_shows_defaults_metavars_and_panels() -> None:
    text = typed(OptionsOf(Settings, panel="Mine"), "--help").output
    for part in ("COLUMN", "(20)", "(it depends)", "--scale", "--no-scale", " Mine ", " Compute "):
        assert part in text


def test_a_specification_survives_the_command_line() -> None:
    spec = DataSpec(
        treatment_key="treatment", control=("DMSO", "none"), sample_key=("patient", "plate"),
        features="pca:8", expression="log1p", holdout=("patient=P1,P2",), min_cells=5, drop_small=True,
    )  # fmt: skip
    assert DataSpec(**typed(OptionsOf(DataSpec, given=True), *to_flags(spec))) == spec
