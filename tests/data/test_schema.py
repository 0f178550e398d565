import dataclasses

import pytest

from cellflow_cli.data.holdout_text import parse_holdout
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError

REQUIRED = {"treatment_key": "treatment", "control": "DMSO", "sample_key": ("patient", "culture")}


def test_defaults_follow_the_sample_keys():
    spec = DataSpec(**REQUIRED)
    assert spec.control == ("DMSO",)
    assert spec.group == "patient"
    assert spec.match == ("patient", "culture")
    assert spec.min_cells == 20


def test_every_field_has_help():
    assert all(len(field.metadata["help"]) > 10 for field in dataclasses.fields(DataSpec))


def test_the_source_is_resolved_once():
    spec = DataSpec(**REQUIRED, features="pca:30", expression="counts")
    assert spec.source is spec.source
    assert spec.source.config.n_features(2000) == 30
    assert spec == DataSpec(**REQUIRED, features="pca:30", expression="counts")
    assert dataclasses.replace(spec, features="X", expression=None).source.config.n_features(12) == 12


def test_holdout_is_parsed():
    assert parse_holdout("patient=P7, P9") == ("patient", "P7, P9", 0.0)
    assert parse_holdout("0.25").fraction == 0.25


@pytest.mark.parametrize("text", ["patient", "patient=", "=P7", "0", "1", "1.5", "-0.1", "nan"])
def test_other_holdouts_are_refused(text):
    with pytest.raises(ConfigError, match=r"--holdout 0\.2"):
        parse_holdout(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"treatment_key": ""}, "--treatment-key"),
        ({"control": ()}, "--control"),
        ({"sample_key": ()}, "--sample-key"),
        ({"sample_key": ("patient", "patient")}, "to differ"),
        ({"sample_key": ("treatment",)}, "no sample or group key"),
        ({"dose_key": "culture"}, "no sample or group key"),
        ({"match_key": ("plate",)}, "one of the sample keys"),
        ({"features": "pca:5"}, "--expression counts"),
        ({"features": "pca:5", "expression": "count"}, "Did you mean 'counts'"),
        ({"expression": "counts"}, r"--features pca:50"),
        ({"holdout": ("0.2",), "split_key": "split"}, "found both"),
        ({"holdout": ("0.2", "patient=P1")}, "only `holdout`"),
        ({"min_cells": 0}, "--min-cells"),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        DataSpec(**{**REQUIRED, **settings})
