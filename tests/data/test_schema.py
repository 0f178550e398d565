import dataclasses

import pytest

from cellflow_cli.data.schema import DataSpec, parse_features, parse_holdout
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X", ("X", "", 0)),
        ("layers/raw", ("layers", "raw", 0)),
        ("obsm/X_pca", ("obsm", "X_pca", 0)),
        ("pca:30", ("pca", "", 30)),
    ],
)
def test_features_are_parsed(text, expected):
    assert tuple(parse_features(text)) == expected


@pytest.mark.parametrize(
    "text", ["x", "pca", "pca:", "pca:0", "pca:-3", "pca:3.5", "layers/", "obsm", "varm/PCs"]
)
def test_other_features_are_refused(text):
    with pytest.raises(ConfigError, match=r"pca:K.*--features"):
        parse_features(text)


def test_holdout_is_parsed():
    assert parse_holdout("patient=P7, P9") == ("patient", ("P7", "P9"), 0.0)
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
