"""Fields of a dataclass as flags, read and written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError
from cellflow_cli.flags import flags_of, pairs, split_names, to_flags, written
from cellflow_cli.prediction.request import PredictionRequest


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field of each kind."""

    key: str
    cells: int = 20
    fraction: float | None = None
    file: Path | None = None
    audit: bool = True
    scale: bool | None = None
    drop: bool = False
    controls: bool = field(default=True, metadata={"flag": "--no-controls"})
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] | None = field(default=None, metadata={"commas": True})
    rename: Mapping[str, str] = field(default_factory=dict)


FLAGS = {flag.name: flag for flag in flags_of(Settings)}


def test_flags_are_named_after_their_fields():
    assert [flag.text for flag in flags_of(Settings)] == [
        "--key", "--cells", "--fraction", "--file", "--audit/--no-audit", "--scale/--no-scale", "--drop",
        "--no-controls", "--labels", "--metrics", "--rename",
    ]  # fmt: skip
    assert [flag.name for flag in flags_of(Settings, without=("cells",), only=("cells", "key"))] == ["key"]
    assert [flag.name for flag in FLAGS.values() if flag.required] == ["key"]
    with pytest.raises(ValueError, match=r"no fields \['celsl'\] in Settings"):
        flags_of(Settings, without=("celsl",))


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [
        ("key", str, "one"),
        ("cells", int, "one"),
        ("fraction", float, "one"),
        ("file", Path, "one"),
        ("scale", bool, "one"),
        ("labels", str, "many"),
        ("metrics", str, "many"),
        ("rename", str, "pairs"),
    ],
)
def test_kinds_come_from_the_type(name, kind, shape):
    assert (FLAGS[name].kind, FLAGS[name].shape) == (kind, shape)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("cells", 7, ["--cells", "7"]),
        ("file", Path("a b"), ["--file", "a b"]),
        ("audit", False, ["--no-audit"]),
        ("scale", True, ["--scale"]),
        ("drop", True, ["--drop"]),
        ("drop", False, []),
        ("controls", False, ["--no-controls"]),
        ("controls", True, []),
        ("labels", ("a,b", "c"), ["--labels", "a,b", "--labels", "c"]),
        ("metrics", ("w1", "w2"), ["--metrics", "w1,w2"]),
        ("rename", {"new": "old", "a": "b=c"}, ["--rename", "new=old", "--rename", "a=b=c"]),
        ("fraction", None, []),
    ],
)
def test_values_as_words(name, value, words):
    assert FLAGS[name].write(value) == words


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("controls", True, False),
        ("drop", True, True),
        ("labels", ["a,b", "c"], ("a,b", "c")),
        ("metrics", ["w1, w2", "w1"], ("w1", "w2")),
        ("rename", ["new = old"], {"new": "old"}),
    ],
)
def test_values_from_what_was_typed(name, given, value):
    assert FLAGS[name].read(given) == value


def test_names_that_are_none():
    with pytest.raises(ConfigError, match="Expected names after `--metrics`, found none"):
        FLAGS["metrics"].read([" , "])


def test_fields_whose_type_is_not_loaded_do_not_hinder_the_others():
    assert [flag.text for flag in flags_of(PredictionRequest, only=("doses", "controls"))] == [
        "--dose", "--no-controls",
    ]  # fmt: skip
    with pytest.raises(NameError):
        flags_of(PredictionRequest)


def test_only_what_differs_from_the_defaults_is_written():
    settings = Settings(key="k", cells=20, audit=False, labels=("x",))
    assert to_flags(settings) == ("--key", "k", "--no-audit", "--labels", "x")
    assert to_flags(settings, without=("key", "audit")) == ("--labels", "x")
    assert written(Settings, {"cells": 20}) == ("--cells", "20")  # given, although it is the default


def test_a_data_specification_is_written_as_it_is_typed():
    spec = DataSpec(treatment_key="t", control=("a", "b"), sample_key="s", drop_small=True, min_cells=5)
    assert to_flags(spec) == (
        *("--treatment-key", "t", "--control", "a", "--control", "b", "--sample-key", "s"),
        *("--min-cells", "5", "--drop-small"),
    )


def test_names_are_split_at_commas_and_kept_once():
    assert split_names(["a, b", "c,a", ""]) == ["a", "b", "c"]
    assert split_names(None) == []


@pytest.mark.parametrize("text", ["new", "new=", "=old", " = "])
def test_a_pair_has_two_sides(text):
    with pytest.raises(ConfigError, match="Expected `--rename NAME=VALUE`, found"):
        pairs("--rename", [text])
