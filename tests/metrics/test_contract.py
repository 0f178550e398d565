"""What every metric of the catalog keeps to."""

import math

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.metrics import Comparison, Metric, MetricValue
from tests.odd_cells import CASES, degenerate

NAMES = Catalog("metrics").names()
ROLES = ("predicted", "target", "control")


def load(name) -> Metric:
    return Catalog("metrics").load(name)


def draw(seed=0, n=40, d=5):
    rng = torch.Generator().manual_seed(seed)
    offsets = torch.randn(3, 1, d, dtype=torch.float64, generator=rng)
    scales = 0.5 + torch.rand(3, 1, d, dtype=torch.float64, generator=rng)
    cells = offsets + scales * torch.randn(3, n, d, dtype=torch.float64, generator=rng)
    others = 2 * torch.randn(6, d, dtype=torch.float64, generator=rng)
    return {**dict(zip(ROLES, cells, strict=True)), "other_targets": others}


def test_the_ones_we_promise_are_there():
    promised = {"w1", "w2", "mmd-rbf", "mmd-median", "energy", "r2-mean", "r2-delta", "r-features"}
    promised |= {"r2-features", "variance-ratio", "variance-ratio-genes"}
    assert promised | {"de-overlap", "direction", "discrimination"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_entry_is_complete(name):
    metric = load(name)
    assert metric.best in {"low", "high", "one"}
    assert metric.space in {"flow", "genes"}
    assert metric.function.__doc__
    assert 10 < len(Catalog("metrics").summaries()[name]) <= 110


@pytest.mark.parametrize("name", NAMES)
def test_answer_is_a_finite_number_and_repeats(name):
    first, second = (load(name).function(Comparison(**draw())) for _ in range(2))
    assert isinstance(first, MetricValue)
    assert type(first.value) is float
    assert math.isfinite(first.value)
    assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_inputs_stay_as_they_are(name):
    given = draw()
    before = {role: cells.clone() for role, cells in given.items()}
    load(name).function(Comparison(**given))
    assert all(torch.equal(given[role], before[role]) for role in ROLES)


@pytest.mark.parametrize("name", NAMES)
def test_float32_cells_are_computed_in_float64(name):
    single = {role: cells.float() for role, cells in draw().items()}
    double = {role: cells.double() for role, cells in single.items()}
    assert load(name).function(Comparison(**single)) == load(name).function(Comparison(**double))


@pytest.mark.parametrize("name", NAMES)
def test_order_of_cells_does_not_matter(name):
    given = draw()
    rng = torch.Generator().manual_seed(1)
    shuffled = {role: cells[torch.randperm(len(cells), generator=rng)] for role, cells in given.items()}
    value = load(name).function(Comparison(**given)).value
    assert load(name).function(Comparison(**shuffled)).value == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_symmetric_where_it_says_so(name):
    pairs = []
    for seed in range(20):
        given = draw(seed, d=12)
        if seed > 9:  # hardly any change in the target
            given["target"] = given["control"].flip(0) + 0.1 * given["target"] / given["target"].std(0)
        swapped = {**given, "predicted": given["target"], "target": given["predicted"]}
        values = [load(name).function(Comparison(**cells)).value for cells in (given, swapped)]
        pairs.append([math.nan if value is None else value for value in values])
    equal = [other == pytest.approx(value, rel=1e-9) for value, other in pairs]
    assert all(equal) if load(name).symmetric else not all(equal)


@pytest.mark.parametrize("name", NAMES)
def test_truth_beats_a_distorted_truth(name):
    target = draw(d=12)["target"]
    noise = torch.randn(target.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    control = target - torch.linspace(3, 1, 12) + noise
    distorted = 3 * target.flip(1).cumsum(1)
    shared = {"target": target, "control": control, "other_targets": distorted[:5]}
    good, bad = (
        load(name).function(Comparison(predicted=cells, **shared)).value
        for cells in (target.flip(0), distorted)
    )
    match load(name).best:
        case "low":
            assert good < bad
        case "high":
            assert good > bad
            assert good == pytest.approx(1, rel=1e-9)
        case "one":
            assert good == pytest.approx(1, rel=1e-9)
            assert abs(good - 1) < abs(bad - 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CASES)
def test_degenerate_input_gives_a_number_or_a_reason(name, case):
    given = degenerate(draw(), case)
    value, reason = load(name).function(Comparison(**given))
    if value is None:
        assert len(reason) > 10
    else:
        assert math.isfinite(value)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_gpu_agrees_with_cpu(name):
    given = draw(n=300, d=20)
    on_gpu = Comparison(**{role: cells.cuda() for role, cells in given.items()})
    value = load(name).function(Comparison(**given)).value
    assert load(name).function(on_gpu).value == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_comparison_refuses_cells_that_do_not_fit():
    given = draw()
    with pytest.raises(ValueError, match="differ in width"):
        Comparison(**{**given, "control": given["control"][:, :2]})
    with pytest.raises(ValueError, match=r"genes of target need shapes"):
        Comparison(**given, target_genes=given["target"][:3])
    with pytest.raises(ValueError, match=r"other targets need the shape \[o, 5\]"):
        Comparison(**{**given, "other_targets": given["other_targets"][:, :2]})


def test_matrices_are_computed_once():
    comparison = Comparison(**draw())
    assert comparison.between is comparison.between
    assert comparison.within_target is comparison.within_target
    assert comparison.correlations is comparison.correlations
