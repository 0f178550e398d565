"""Conditions of small, medium and large effect."""

import pytest

from cellflow_cli.statistics.lines import Lines
from cellflow_cli.statistics.regimes import regimes
from tests.statistics.tables import ROWS, table


def test_regimes_are_thirds_by_the_size_of_the_effect():
    effects = {"P1": [9.0, 1.0, 5.0], "P2": [2.0, 8.0, 4.0], "P3": [3.0]}
    model = {g: [10 * v for v in vs] for g, vs in effects.items()}
    found = regimes(Lines(table({"model": model, "identity": effects})), ["model"], ["energy"]).parts
    assert list(found) == ["small", "medium", "large"]
    assert [r.n_conditions for r in found.values()] == [3, 2, 2]
    assert found["small"].effect == (1, 3)
    assert found["large"].effect == (8, 9)
    assert found["small"].predictors["model"]["energy"] == pytest.approx((10 + 20 + 30) / 3)
    # Medium: 4 of P2 and 5 of P1; groups count once each.
    assert found["medium"].predictors["model"]["energy"] == pytest.approx((40 + 50) / 2)


def test_regimes_average_within_groups_first():
    effects = {"P1": [1.0, 2.0, 100.0, 101.0], "P2": [3.0, 102.0]}
    model = {"P1": [0.0, 2.0, 0.0, 0.0], "P2": [5.0, 0.0]}
    lines = Lines(table({"model": model, "identity": effects}))
    found = regimes(lines, ["model"], ["energy"]).parts
    assert found["small"].predictors["model"]["energy"] == 1
    assert found["medium"].predictors["model"]["energy"] == pytest.approx(2.5)


def test_few_conditions_have_no_regimes():
    found = regimes(Lines(table(ROWS)), ["model"], ["energy"])
    assert not found.parts
    assert found.to_json() == {"reason": "needs 6 conditions or more with `energy` of `identity`, found 3"}
