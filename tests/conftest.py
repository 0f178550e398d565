"""What all tests share: where they run, their random numbers, and small populations."""

from collections.abc import Callable

import pytest
import torch

from cellflow_cli.rng import derived_seed
from cellflow_cli.types import Condition, ModelShape, Population, PopulationPair
from tests.robustness.reporting import Tally


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device", default="cpu", help="Where the closed-form tests compute: cpu, cuda, cuda:1."
    )
    parser.addoption("--dtype", default="float64", help="In what they compute: float64 or float32.")
    parser.addoption(
        "--tally", help="Page in which to write what came of tests/robustness, run with -m slow."
    )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that gathers the reports of all workers
        config.pluginmanager.register(Tally(config.getoption("--tally")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> torch.device:
    return torch.device(pytestconfig.getoption("--device"))


@pytest.fixture(scope="session")
def dtype(pytestconfig: pytest.Config) -> torch.dtype:
    return {"float32": torch.float32, "float64": torch.float64}[pytestconfig.getoption("--dtype")]


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> torch.Generator:
    """A generator of the test's own: other numbers for every test, the same in every run."""
    return torch.Generator().manual_seed(derived_seed(0, request.node.name))


@pytest.fixture
def shape() -> ModelShape:
    """Three features, one dosed and one plain treatment, two covariates, two cell types."""
    return ModelShape(
        n_features=3,
        treatments=("drugA", "drugB"),
        doses={"drugA": (0.1, 1.0, 10.0)},
        samples=("S1", "S2", "S3"),
        n_covariates=2,
        n_node_features=2,
    )


@pytest.fixture
def make_population(rng: torch.Generator) -> Callable[..., Population]:
    """A normal population that fits `shape`: `make_population(n, shift=0.0, sample="S1", condition=None)`."""

    def make(
        n: int = 40,
        *,
        shift: float = 0.0,
        sample: str = "S1",
        condition: Condition | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Population:
        types = torch.randint(2, (n,), generator=rng)
        return Population(
            sample=(sample,),
            group=sample,
            condition=condition,
            cells=torch.randn(n, 3, generator=rng, dtype=dtype) + shift,
            node_features=torch.nn.functional.one_hot(types, 2).to(dtype),
            covariates=torch.tensor([1.0, 0.0], dtype=dtype),
        )

    return make


@pytest.fixture
def pairs(make_population: Callable[..., Population]) -> list[PopulationPair]:
    """Two pairs for each of three samples: `drugA` shifts by its dose's rank, `drugB` back by one."""
    made = []
    for i, sample in enumerate(("S1", "S2", "S3")):
        source = make_population(40 + i, shift=0.2 * i, sample=sample)
        for condition, shift in ((Condition("drugA", 1.0), 1.0), (Condition("drugB"), -1.0)):
            target = make_population(30 + i, shift=0.2 * i + shift, sample=sample, condition=condition)
            made.append(PopulationPair(source=source, target=target))
    return made
