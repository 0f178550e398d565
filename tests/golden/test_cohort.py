"""On the simulated cohort the population decides the response, and `mfm` has to show it."""

import json

import pytest

from tests.golden import cohort_scores

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    return cohort_scores.scores()


@pytest.mark.parametrize("rival", ["identity", "mean-shift", "fm", "mfm, other population"])
def test_mfm_beats(rival: str, found: dict[str, float]) -> None:
    """By a margin: half the distance to the floor is left at most 0.8 times what the rival leaves."""
    assert found["mfm"] - found["floor"] < 0.8 * (found[rival] - found["floor"])


def test_scores_are_those_on_record(found: dict[str, float]) -> None:
    """Baselines and floor follow from the data alone; trained rows move with the build of torch."""
    expected = json.loads(cohort_scores.SCORES.read_text())
    for row in ("identity", "mean-shift", "floor"):
        assert found[row] == pytest.approx(expected[row], rel=1e-3, abs=1e-3)
    for row in ("mfm", "fm", "mfm, other population"):
        assert found[row] == pytest.approx(expected[row], rel=0.25)
