"""Every metric has a card with a formula and where it comes from."""

import pytest

from cellflow_cli.catalog import Catalog
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.report.data import Inputs
from cellflow_cli.report.metric_docs import command, metric_cards, settings_lines
from tests.statistics.planted import make_scores


@pytest.mark.parametrize("name", Catalog("metrics").names())
def test_no_card_is_empty(name):
    scores = make_scores(metrics=(name,), mean_shift=0.1)
    (card,) = metric_cards(scores.summary(), scores.config, Inputs())
    assert " = " in card.formula
    assert card.source
    assert f"--metrics {name} " in card.command


def test_commands_have_the_paths_and_the_heading_the_names():
    inputs = Inputs(predicted="runs/p.h5ad", truth="../data/t.h5ad", options=("--model", "runs/model"))
    assert inputs.title == "p.h5ad against t.h5ad"
    config = EvaluationConfig(metrics=("w1", "w2"), all_cells=True, cell_types=False)
    assert command(config, inputs, "again") == (
        "cellflow evaluate runs/p.h5ad ../data/t.h5ad --model runs/model --metrics w1,w2 --all-cells -o again"
    )


def test_settings_say_everything_that_limits_the_cells():
    lines = dict(settings_lines(make_scores().summary()))
    assert lines["Cells"] == (
        "50 to 57 on either side of a comparison: half of the measured cells, at most 500, and no more than "
        "were predicted or are controls."
    )
    assert lines["Features"].startswith("7 features of the flow (`X`), divided by")
    assert (lines["Model"], lines["Method"]) == ("abc", "mfm")
