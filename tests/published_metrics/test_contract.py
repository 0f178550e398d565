"""What every metric of another project keeps to."""

import math
import re
from pathlib import Path

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import ConfigError
from cellflow_cli.metrics import Comparison, MetricValue
from cellflow_cli.published_metrics import described, find, metrics_of, origin_of, project_of
from cellflow_cli.report.data import Inputs
from cellflow_cli.report.metric_docs import metric_cards
from tests.odd_cells import CASES, degenerate
from tests.statistics.planted import make_scores

PROJECTS = Catalog("published_metrics").names()
NAMES = [name for project in PROJECTS for name in metrics_of(project)]
ROLES = ("predicted", "target", "control")
DOCUMENT = Path(__file__).parents[2] / "docs" / "published-metrics.md"
# Whose best value is not reached by the truth itself: they keep what cells differ by anyway.
NOT_ZERO = {"pertpy:mean-pairwise", "pertpy:wasserstein"}


def draw(seed=0, n=40, d=6):
    """Cells as log1p expression, which all projects accept, and six other conditions."""
    rng = torch.Generator().manual_seed(seed)
    offsets = torch.rand(3, 1, d, dtype=torch.float64, generator=rng)
    cells = offsets + 0.5 * torch.rand(3, n, d, dtype=torch.float64, generator=rng)
    others = cells[:2].mean((0, 1)) + 0.4 * torch.rand(6, d, dtype=torch.float64, generator=rng) - 0.2
    return {**dict(zip(ROLES, cells, strict=True)), "other_targets": others}


def value(name, given) -> MetricValue:
    return find(name).function(Comparison(**given))


def test_the_projects_we_promise_are_there():
    assert {"paper", "cellot", "cellflow", "pertpy", "cell-eval"} <= set(PROJECTS)


@pytest.mark.parametrize("project", PROJECTS)
def test_a_project_says_what_was_read(project):
    entry = Catalog("published_metrics").load(project)
    assert re.search(r"commit [0-9a-f]{7}|\d\.\d", entry.version)
    assert entry.space in {"flow", "genes"}
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in entry.metrics)


@pytest.mark.parametrize("name", NAMES)
def test_formula_source_and_difference_reach_the_card(name):
    scores = make_scores(groups=2, metrics=(name,))
    (card,) = metric_cards(scores.summary(), scores.config, Inputs())
    assert 10 < len(card.definition) <= 110
    assert " = " in card.formula
    assert card.source.startswith(origin_of(name))
    assert "Ours: " in card.source
    assert card.space.endswith("unscaled")
    assert f"--metrics {name}" in card.command
    assert ":" not in card.command.rsplit("-o ", 1)[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_document_has_a_line_for_it(name):
    assert f"| `{name}` |" in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_answer_is_a_finite_number_and_repeats(name):
    given = draw()
    before = {role: cells.clone() for role, cells in given.items()}
    first, second = value(name, given), value(name, given)
    assert type(first.value) is float
    assert math.isfinite(first.value)
    assert first == second
    assert all(torch.equal(given[role], before[role]) for role in given)


@pytest.mark.parametrize("name", NAMES)
def test_order_of_cells_does_not_matter(name):
    given = draw()
    rng = torch.Generator().manual_seed(1)
    shuffled = {role: given[role][torch.randperm(len(given[role]), generator=rng)] for role in ROLES}
    expected = pytest.approx(value(name, given).value, rel=1e-9)
    assert value(name, {**given, **shuffled}).value == expected


@pytest.mark.parametrize("name", NAMES)
def test_symmetric_where_it_says_so(name):
    if not find(name).symmetric:
        return  # some still are, where an iteration has converged or nothing is significant
    for seed in range(6):
        given = draw(seed, d=12)
        swapped = {**given, "predicted": given["target"], "target": given["predicted"][:30]}
        given["predicted"] = given["predicted"][:30]
        values = [value(name, cells).value for cells in (given, swapped)]
        assert values[1] == pytest.approx(values[0], rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_truth_beats_a_distorted_truth(name):
    target = draw(d=12)["target"]
    distorted = 0.2 * target.flip(1).cumsum(1)
    shared = {"target": target, "control": target.flip(0) * 0.8, "other_targets": distorted[:5]}
    good, bad = (value(name, {"predicted": cells, **shared}).value for cells in (target.flip(0), distorted))
    if find(name).best == "low":
        assert good < bad
        assert name in NOT_ZERO or good == pytest.approx(0, abs=1e-3)  # where iterations stop
    else:
        assert good > bad
        assert good == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CASES)
def test_degenerate_input_gives_a_number_or_a_reason(name, case):
    given = degenerate(draw(), case)
    found, reason = value(name, given)
    assert math.isfinite(found) if found is not None else len(reason) > 10


@pytest.mark.parametrize("name", NAMES)
def test_scaling_of_ours_does_not_reach_theirs(name):
    flow, genes = draw(0), draw(1, d=9)
    scale = torch.linspace(0.1, 3, 6, dtype=torch.float64)
    given = {
        **{role: cells / scale for role, cells in flow.items()},
        **{f"{role}_genes": genes[role] for role in ROLES},
        "other_targets_genes": genes["other_targets"],
        "scale": scale,
    }
    plain = flow if find(name).space == "flow" else genes
    assert value(name, given).value == pytest.approx(value(name, plain).value, rel=1e-9)


def test_their_cells_are_made_once():
    given = draw()
    comparison = Comparison(**given, scale=torch.full((6,), 2.0))
    assert comparison.unscaled("genes") is comparison.unscaled("genes")
    assert comparison.unscaled("flow") is comparison.unscaled("flow")
    torch.testing.assert_close(comparison.unscaled("flow").other_targets, 2 * given["other_targets"])
    unscaled = Comparison(**given)
    assert unscaled.unscaled("flow") is unscaled


def test_ours_are_found_by_the_same_function():
    assert find("energy") is Catalog("metrics").load("energy")
    assert project_of("energy") is origin_of("energy") is None
    assert described(["energy"])["energy"] == Catalog("metrics").summaries()["energy"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("celott:mmd", r"name of a project of published metrics, found 'celott'\. Did you mean 'cellot'\?"),
        ("cellot:mdm", r"that CellOT defines, found 'mdm' in 'cellot:mdm'\. Did you mean 'mmd'\?"),
        ("cellot:", r"that CellOT defines, found ''"),
    ],
)
def test_a_name_with_a_slip_is_answered_with_the_nearest(name, message):
    with pytest.raises(ConfigError, match=message):
        find(name)


def test_what_a_project_refuses_has_a_reason():
    wide = {role: cells.repeat(1, 200) for role, cells in draw().items()}
    assert "below 1,000 features only, found 1,200" in value("cellot:mmd", wide).reason
    signed = {role: cells - 0.4 for role, cells in draw().items()}
    assert "found values below zero" in value("cell-eval:overlap-at-n", signed).reason


def test_without_differential_genes_cell_eval_counts_zero():
    given = draw()
    found = value("cell-eval:overlap-at-n", {**given, "predicted": given["control"]})
    assert found.value == 0
    assert found.reason.startswith("0 predicted and ")
