"""What `cellflow train` makes of its own options."""

import pytest

from cellflow_cli.cli.train import Learning, seconds
from cellflow_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), (" .5 h ", 1800)]
)
def test_times(text, value):
    assert seconds(text) == value
    assert Learning(max_time=text).max_time_s == value


@pytest.mark.parametrize("text", ["", "0", "soon", "-3m", "2d"])
def test_what_is_no_time(text):
    with pytest.raises(ConfigError, match="Expected a time such as 90s"):
        seconds(text)


def test_only_what_was_given_is_a_setting():
    assert Learning().settings() == {"training": {}}
    assert Learning().max_time_s is None
    assert Learning(method="fm", steps=7, refit=False, seed=3).settings() == {
        "method": {"name": "fm"}, "training": {"steps": 7, "refit": False}, "seed": 3,
    }  # fmt: skip
