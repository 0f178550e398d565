"""Settings: where they come from, which wins, and what is refused."""

import dataclasses
import json
import math
import tomllib

import pytest

from cellflow_cli.catalog import Catalog, Choice
from cellflow_cli.config import RunConfig, from_dict, merged, parse_assignments, read_toml, to_dict
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError

DATA = {"treatment_key": "drug", "control": "DMSO", "sample_key": ["patient"]}


def run(**settings):
    return from_dict({"data": DATA, **settings})


def test_defaults_are_those_of_the_parts():
    made = run()
    assert made == RunConfig(data=DataSpec(treatment_key="drug", control="DMSO", sample_key="patient"))
    assert made.method == Catalog("methods").choose("mfm")


def test_partial_settings_keep_the_other_defaults():
    made = run(training={"steps": 7}, method={"field": {"width": 5}})
    assert made.training == dataclasses.replace(run().training, steps=7)
    default = run().method.config
    assert made.method.config == dataclasses.replace(
        default, field=dataclasses.replace(default.field, width=5)
    )


def test_every_setting_goes_to_json_and_back():
    made = run(
        training={"steps": 7, "learning_rate": 0.5},
        method={
            "name": "fm",
            "coupling": "independent",
            "field": {"dropout": 0.25},
            "solver": {"method": "dopri5"},
        },
        seed=11,
    )
    assert from_dict(json.loads(json.dumps(to_dict(made)))) == made
    assert to_dict(made)["method"]["name"] == "fm"
    assert to_dict(made)["method"]["coupling"] == {"name": "independent"}


def test_objects_are_taken_as_they_are():
    spec = DataSpec(treatment_key="drug", control="DMSO", sample_key="patient")
    choice = Catalog("methods").choose("fm")
    made = from_dict({"data": spec, "method": choice})
    assert made.data is spec
    assert made.method is choice


def test_what_is_said_later_wins(tmp_path):
    """A file below --set below flags, setting by setting."""
    file = tmp_path / "cellflow.toml"
    file.write_text("seed = 1\n[training]\nsteps = 10\nema = 0.5\nlearning_rate = 0.1\n")
    assignments = parse_assignments(["training.steps=20", "training.ema=0.6", "training.ema=0.7"])
    settings = merged(merged(read_toml(file), assignments), {"training": {"steps": 30}})
    made = run(**settings)
    assert (made.training.steps, made.training.ema, made.training.learning_rate) == (30, 0.7, 0.1)
    assert made.seed == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=2000", 2000),
        ("a.b=1e-3", 1e-3),
        ("a.b=.5", 0.5),
        ("a.b=-.5e-2", -0.005),
        ("a.b=5.", 5.0),
        ("a.b=1.2.3", "1.2.3"),
        ("a.b=.", "."),
        ("a.b=true", True),
        ('a.b=["x", "y"]', ["x", "y"]),
        ('a.b="5"', "5"),
        ("a.b=exact-ot", "exact-ot"),
        ("a.b=P7=x", "P7=x"),
        ("a.b = 3", 3),
        ("a.b=", ""),
    ],
)
def test_assignments_are_toml_or_else_text(text, value):
    assert parse_assignments([text]) == {"a": {"b": value}}


@pytest.mark.parametrize("text", ["a.b", "=3", "a..b=3", ".a=3"])
def test_other_texts_are_refused(text):
    with pytest.raises(ConfigError, match="--set key=value"):
        parse_assignments([text])


def test_a_number_in_place_of_a_table_is_refused():
    with pytest.raises(ConfigError, match="table of settings in `training`, found 3.*training.steps=VALUE"):
        merged({"training": 3}, {"training": {"steps": 2}})


def test_another_method_drops_the_settings_of_the_first():
    low = {"method": {"name": "mfm", "embedder": {"k": 3}, "field": {"width": 9}}}
    assert merged(low, {"method": {"name": "fm"}}) == {"method": {"name": "fm"}}
    assert merged(low, {"method": "fm"}) == {"method": {"name": "fm"}}
    kept = merged(low, {"method": {"name": "mfm", "field": {"width": 8}}})
    assert kept == {"method": {"name": "mfm", "embedder": {"k": 3}, "field": {"width": 8}}}


def test_a_name_given_as_text_keeps_its_meaning():
    """`method = "fm"` in a file, then one of its settings."""
    settings = merged({"method": "fm"}, parse_assignments(["method.field.width=9"]))
    made = run(**settings)
    assert made.method.name == "fm"
    assert made.method.config.field.width == 9
    again = merged({"method": {"name": "fm", "field": {"width": 9}}}, {"method": "fm"})
    assert run(**again).method == made.method


def test_merging_changes_neither_side():
    low, high = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merged(low, high) == {"a": {"b": 1, "c": 2}}
    assert (low, high) == ({"a": {"b": 1}}, {"a": {"c": 2}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training": {"clip_norm": math.inf}}, r"finite number at `training\.clip_norm`, found inf"),
        ({"method": {"embedder": {"bandwidths": [math.nan]}}}, r"finite number at .*bandwidths"),
        ({"training": {"validation_cells": 1}}, r"validation_cells of at least 2"),
        ({"method": {"embedder": {"name": "mean", "embedding": 1}}}, r"embedding of 0 or at least 2"),
        ({"method": {"embedder": {"name": "set-attention", "embedding": 1}}}, r"embedding of at least 2"),
        ({"trainin": {}}, r"Unknown setting `trainin`\. Did you mean 'training'\?"),
        (
            {"training": {"stpes": 3}},
            r"Unknown setting `training\.stpes`\. Did you mean 'steps'\?.*`training`",
        ),
        ({"method": {"embedder": {"frequency": 3}}}, r"`method\.embedder\.frequency`"),
        ({"method": {"embedder": {"Frequencies": 3}}}, r"Did you mean 'frequencies'\?"),
        ({"method": {"name": "fm", "embedder": {"k": 3}}}, r"Unknown setting `method\.embedder`"),
        ({"method": "fmm"}, r"name of a method, found 'fmm'\. Did you mean 'm?fm'\?"),
        ({"method": {"coupling": "exact"}}, r"name of a coupling, found 'exact'"),
        ({"method": 3}, r"name or a table of settings at `method`, found 3"),
        ({"method": {"name": 3}}, r"name at `method\.name`, found 3"),
        ({"training": 3}, r"table of settings at `training`, found 3"),
        ({"training": {"steps": 2.5}}, r"a whole number at `training\.steps`, found 2\.5"),
        ({"training": {"steps": "many"}}, r"a whole number at `training\.steps`, found 'many'"),
        ({"training": {"steps": True}}, r"a whole number at `training\.steps`, found True"),
        ({"training": {"ema": "x"}}, r"a number at `training\.ema`, found 'x'"),
        ({"training": {"ema": False}}, r"a number at `training\.ema`, found False"),
        ({"training": {"refit": 1}}, r"true or false at `training\.refit`, found 1"),
        (
            {"method": {"solver": {"steps": "auto"}}},
            r"a whole number at `method\.solver\.steps`, found 'auto'",
        ),
        ({"data": {**DATA, "group_key": ["a"]}}, r"text at `data\.group_key`, found \['a'\]"),
        ({"data": {**DATA, "control": {"a": 1}}}, r"text at `data\.control`"),
        ({"data": {"control": "DMSO"}}, r"settings `data\.treatment_key`, `data\.sample_key`, found none"),
        ({"training": {"steps": 0}}, r"training\.steps of at least 1"),
    ],
)
def test_mistakes_are_named_by_their_dotted_key(settings, message):
    with pytest.raises(ConfigError, match=message):
        run(**settings)


def test_the_data_cannot_be_left_out():
    with pytest.raises(ConfigError, match="settings `data`, found none"):
        from_dict({})


def test_one_text_stands_for_a_list_of_one():
    spec = run(data={**DATA, "control": "DMSO", "covariate_key": ["a", "b"]}).data
    assert (spec.control, spec.covariate_key) == (("DMSO",), ("a", "b"))


def test_numbers_stand_for_text_where_text_is_wanted():
    """`holdout = 0.2` and `control = 0` in a file, where nobody thinks of quotes."""
    spec = run(data={**DATA, "control": 0, "holdout": 0.2, "dose_unit": 5}).data
    assert (spec.control, spec.holdout, spec.dose_unit) == (("0",), ("0.2",), "5")


def test_whole_numbers_are_numbers():
    assert run(training={"learning_rate": 1}).training.learning_rate == 1.0
    assert isinstance(run(training={"learning_rate": 1}).training.learning_rate, float)


def test_nothing_is_something_where_it_may_be():
    assert run(method={"solver": {"steps": None}}).method.config.solver.steps is None
    with pytest.raises(ConfigError, match="found None"):
        run(training={"steps": None})


def test_settings_of_a_part_start_from_the_default_of_its_place():
    """Where the field that holds a part has a default of its own, half a table fills up from that."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Part:
        size: int = 1
        depth: int = 1

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Whole:
        part: Part = dataclasses.field(default_factory=lambda: Part(size=5))

    from cellflow_cli import config

    hints = {Part: {"size": int, "depth": int}, Whole: {"part": Part}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "_hints", hints.__getitem__)
        assert config._dataclass(Whole, {"part": {"depth": 2}}, "") == Whole(part=Part(size=5, depth=2))


@pytest.mark.parametrize("content", [b"a = = 3", b"\xff\xfe", None])
def test_a_file_that_is_not_toml(tmp_path, content):
    file = tmp_path / "cellflow.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"TOML file at `.*cellflow\.toml`"):
        read_toml(file)


def every_field(config, at=""):
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Choice):
            yield from every_field(value.config, f"{at}{field.name}.")
        elif dataclasses.is_dataclass(value):
            yield from every_field(value, f"{at}{field.name}.")
        yield f"{at}{field.name}", field


@pytest.mark.parametrize("method", Catalog("methods").names())
def test_every_setting_has_a_help_text(method):
    missing = [name for name, field in every_field(run(method=method)) if not field.metadata.get("help")]
    assert not missing


def test_a_whole_configuration_can_be_written_as_toml():
    """What `inspect` shows can be given back: every value but None has a TOML form."""
    text = (
        "[method]\nname = 'mfm'\n[method.embedder]\nfrequencies = 12\n[method.coupling]\nname = 'exact-ot'\n"
    )
    made = run(**tomllib.loads(text))
    assert made.method.config.embedder.config.frequencies == 12
    assert made.method.config.coupling.name == "exact-ot"
