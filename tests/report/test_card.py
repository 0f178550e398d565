"""Every metric has a card with a formula and where it comes from."""

import pytest

from cellflow_cli.catalog import Catalog
from cellflow_cli.report.card import Inputs, metric_cards
from tests.report.conftest import make_scores


@pytest.mark.parametrize("name", Catalog("metrics").names())
def test_no_card_is_empty(name):
    (card,) = metric_cards(make_scores(metrics=(name,), mean_shift=0.1).summary(), Inputs())
    assert " = " in card.formula
    assert card.source
    assert f"--metrics {name}" in card.command
