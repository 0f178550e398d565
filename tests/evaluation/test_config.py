"""Settings of an evaluation: names given alone, and settings that make no sense."""

import dataclasses

import pytest

from cellflow_cli.errors import ConfigError
from cellflow_cli.evaluation.config import EvaluationConfig


def test_a_single_name_is_a_list_of_one_and_each_name_counts_once():
    config = EvaluationConfig(metrics="energy", definitions=["cellot", "cellot"], baselines=())
    assert config.metrics == ("energy",)
    assert config.definitions == ("cellot",)
    assert config.baselines == ()


def test_every_setting_has_a_default_and_a_help_text():
    assert EvaluationConfig() == EvaluationConfig(metrics=None, baselines=None)
    assert all(field.metadata["help"] for field in dataclasses.fields(EvaluationConfig))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"max_cells": 1}, "`max_cells` to be at least 2.*--max-cells"),
        ({"floor_splits": 0}, "`floor_splits` to be at least 1"),
        ({"metrics": ()}, "at least one metric"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        EvaluationConfig(**settings)


def test_the_metrics_of_a_project_are_metrics():
    assert EvaluationConfig(metrics=(), definitions="cellot").metrics == ()
