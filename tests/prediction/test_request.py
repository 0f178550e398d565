"""What a request refuses before any file is read."""

import pytest

from cellflow_cli.errors import ConfigError
from cellflow_cli.prediction.request import MAX_CHUNK, MAX_SEED, PredictionRequest


@pytest.mark.parametrize("seed", [MAX_SEED + 1, -(10**20)])
def test_a_seed_of_more_than_64_bits_cannot_be_stored(seed):
    with pytest.raises(ConfigError, match="63 bits"):
        PredictionRequest(seed=seed)
    assert PredictionRequest(seed=MAX_SEED).seed == MAX_SEED


def test_a_chunk_without_bounds_is_all_cells():
    assert PredictionRequest(chunk=10**20).chunk == MAX_CHUNK
