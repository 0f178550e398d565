"""What a request refuses before any file is read."""

import pytest

from cellflow_cli.errors import ConfigError
from cellflow_cli.prediction.request import MAX_CHUNK, MAX_SEED, PredictionRequest


@pytest.mark.parametrize("value", [MAX_SEED + 1, -1])
@pytest.mark.parametrize("name", ["seed", "chunk"])
def test_numbers_out_of_range(name, value):
    with pytest.raises(ConfigError, match=rf"Expected `{name}` from .* found {value} \(`--{name}`\)"):
        PredictionRequest(**{name: value})


def test_the_bounds_themselves():
    request = PredictionRequest(seed=MAX_SEED, chunk=MAX_CHUNK)
    assert (request.seed, request.chunk) == (MAX_SEED, MAX_CHUNK)
