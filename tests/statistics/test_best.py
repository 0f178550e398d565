"""Which predictor has the best mean."""

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.best import winners
from tests.statistics.tables import table


def test_the_best_ratio_is_near_one_in_every_group():
    """In the mean over groups model and baseline would be 1.0 and 1.1."""
    ratios = {"model": (0.5, 1.5), "mean-shift": (1.1, 1.1)}
    made = table({name: {"P0": [two[0]], "P1": [two[1]]} for name, two in ratios.items()}, "variance-ratio")
    scores = Scores(table=made, metrics=("variance-ratio",), baselines=("mean-shift",))
    assert winners(scores.summary(), "variance-ratio") == {"mean-shift"}
