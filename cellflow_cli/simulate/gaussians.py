r"""Gaussian populations, each moved by a Monge map of its own that is known in closed form.

Everything is simulated. Controls of population p are N(m0, S0) with S0 = Q diag(s^2) Q, where Q = I - 2 v v^T
for a random unit vector v, s is 0.5 to 1.5 in each of the d directions and m0 is uniform in a box. The
treatment sends a cell to

    T(x) = m1 + A (x - m0),    A = S0^-1/2 = Q diag(1/s) Q,    m1 = m0 + 3 sqrt(tr(S0) / d) e1,

so treated cells are N(m1, I), and, A being symmetric and positive definite, T is the optimal map with

    W2^2 = |m1 - m0|^2 + sum_j (s_j - 1)^2.

Where a cell goes depends on the spread of its whole population: a cell by itself does not tell.

Source: Peyré and Cuturi (2019), Computational Optimal Transport, Remark 2.31, for the map between Gaussians.
"""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow_cli.errors import ConfigError, listed, nearest
from cellflow_cli.rng import derived_seed

CONTROL, MOVED = "control", "moved"


@dataclass(frozen=True, kw_only=True)
class GaussiansConfig:
    """Size of the Gaussian problem."""

    n_populations: int = field(default=12, metadata={"help": "Populations."})
    n_features: int = field(default=3, metadata={"help": "Features of a cell."})
    n_cells: int = field(default=400, metadata={"help": "Control cells, and treated cells, of each."})
    box: float = field(default=2.0, metadata={"help": "Control means lie within this of zero."})

    def __post_init__(self) -> None:
        """Refuse sizes that describe no problem."""
        rules = (
            ("n_populations", 1 <= self.n_populations <= 9999, "between 1 and 9999"),
            ("n_features", 1 <= self.n_features <= 200, "between 1 and 200"),
            ("n_cells", self.n_cells >= 2, "at least 2"),
            ("box", 0 <= self.box < np.inf, "a number >= 0"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise ConfigError(f"Expected `{name}` to be {expected}, found {getattr(self, name)!r}.")


@dataclass(frozen=True, eq=False)
class GaussianTruth:
    """The known answer for one population, float64.

    Attributes:
        mean0, cov0: Of the controls, shape [d] and [d, d].
        mean1, cov1: Of the treated cells, shape [d] and [d, d].
        matrix: Linear part A of the Monge map, symmetric positive definite, shape [d, d].
        root: Symmetric square root of `cov0`, shape [d, d].
        w2: 2-Wasserstein distance between the two, in the units of the cells.
    """

    mean0: np.ndarray
    cov0: np.ndarray
    mean1: np.ndarray
    cov1: np.ndarray
    matrix: np.ndarray
    root: np.ndarray
    w2: float

    def transport(self, cells: np.ndarray) -> np.ndarray:
        """Where the treatment sends control cells: m1 + A (x - m0), shape [n, d] to [n, d]."""
        return self.mean1 + (cells - self.mean0) @ self.matrix


def populations(config: GaussiansConfig) -> tuple[str, ...]:
    """Names of the populations: `G01`, `G02` and so on."""
    return tuple(f"G{i + 1:02d}" for i in range(config.n_populations))


def gaussian_truth(config: GaussiansConfig, seed: int, population: str) -> GaussianTruth:
    """The known answer for a population, whatever the number of populations and cells.

    Raises:
        ConfigError: If there is no population of that name.
    """
    names = populations(config)
    if population not in names:
        raise ConfigError(
            f"Expected a simulated population, found {population!r}.{nearest(population, names)} "
            f"Known: {listed(names)}."
        )
    d, rng = config.n_features, _generator(seed, "truth", population)
    direction = rng.standard_normal(d)
    mirror = np.eye(d) - 2 * np.outer(direction, direction) / np.sum(direction**2)
    spread = 0.5 + rng.random(d)
    mean0 = config.box * (2 * rng.random(d) - 1)
    mean1 = mean0.copy()
    mean1[0] += 3 * np.sqrt(np.mean(spread**2))
    return GaussianTruth(
        mean0=mean0,
        cov0=(mirror * spread**2) @ mirror,
        mean1=mean1,
        cov1=np.eye(d),
        matrix=(mirror / spread) @ mirror,
        root=(mirror * spread) @ mirror,
        w2=float(np.sqrt((mean1[0] - mean0[0]) ** 2 + np.sum((spread - 1) ** 2))),
    )


def control_cells(config: GaussiansConfig, seed: int, population: str, n_cells: int) -> np.ndarray:
    """Fresh control cells, `n_cells` of them, float64, shape [n, d]; none of them is in the file."""
    return _draw(config, seed, population, n_cells, "oracle")


def treated_cells(config: GaussiansConfig, seed: int, population: str, n_cells: int) -> np.ndarray:
    """The oracle: row i is where the treatment sends row i of `control_cells` of the same size."""
    cells = control_cells(config, seed, population, n_cells)
    return gaussian_truth(config, seed, population).transport(cells)


def simulate_gaussians(config: GaussiansConfig, seed: int) -> AnnData:
    """All populations, control and treated.

    Args:
        config: Size.
        seed: Enters every draw, through a stream of its own for each population.

    Returns:
        AnnData with `X` float32; `obs["patient" | "treatment" | "pair"]`, where a treated cell has the
        `pair` of the control cell it was (in another order); `uns["source"]`, `uns["simulation"]` (config
        and seed as text) and `uns["truth"]` (arrays of `GaussianTruth`, populations along the first axis).
    """
    names = populations(config)
    truths = [gaussian_truth(config, seed, name) for name in names]
    values, columns = [], []
    for name, truth in zip(names, truths, strict=True):
        cells = _draw(config, seed, name, config.n_cells, "file")
        order = _generator(seed, "order", name).permutation(config.n_cells)
        for label, block, pair in (
            (CONTROL, cells, np.arange(config.n_cells)),
            (MOVED, truth.transport(cells)[order], order),
        ):
            values.append(block)
            index = [f"{name}-{label}-{i:04d}" for i in range(config.n_cells)]
            columns.append(pd.DataFrame({"patient": name, "treatment": label, "pair": pair}, index=index))
    obs = pd.concat(columns)
    for column in ("patient", "treatment"):
        obs[column] = pd.Categorical(obs[column].astype(str))
    features = pd.DataFrame(index=[f"feature_{j + 1}" for j in range(config.n_features)])
    whole = AnnData(np.concatenate(values).astype(np.float32), obs=obs, var=features)
    whole.uns["source"] = "Simulated, not measured: written by `cellflow simulate gaussians`."
    whole.uns["simulation"] = json.dumps({"kind": "gaussians", "seed": seed, "config": asdict(config)})
    whole.uns["truth"] = {
        key: np.array([getattr(truth, key) for truth in truths])
        for key in ("mean0", "cov0", "mean1", "cov1", "matrix", "w2")
    }
    return whole


def _draw(config: GaussiansConfig, seed: int, population: str, n_cells: int, draw: str) -> np.ndarray:
    truth = gaussian_truth(config, seed, population)
    normal = _generator(seed, draw, population).standard_normal((n_cells, config.n_features))
    return truth.mean0 + normal @ truth.root


def _generator(seed: int, *names: object) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derived_seed(seed, "gaussians", *names)))
