"""The simulated tissue behind the cohort: marker panel, patients, cells, and how cells respond.

Formulas stand in `cohort.py`. Everything here is arithmetic that IEEE 754 rounds the same way on every
processor (no exp, log or matrix product, sums by `math.fsum` or in a fixed order), so that a seed gives
the same cells everywhere. d, k, n are markers, cell types, cells.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

CELL_TYPES = ("tumour", "stem", "t_cell", "fibroblast", "macrophage")
FIBROBLAST, MACROPHAGE = CELL_TYPES.index("fibroblast"), CELL_TYPES.index("macrophage")
TREATMENTS = ("agonist", "chemo", "inhibitor")
REPLICATES = ("r1", "r2")
N_FIXED_MARKERS = 16  # two of identity per cell type, two each of cycle, activation and secretion

# How strongly each cell type responds, in the order of CELL_TYPES.
RESPONSIVENESS = {
    "agonist": (0.7, 0.6, 1.0, 0.6, 1.0),
    "chemo": (1.0, 0.9, 0.7, 0.5, 0.6),
    "inhibitor": (1.0, 0.8, 0.4, 0.6, 0.5),
}
AMPLITUDE = {"agonist": 8.0, "chemo": 8.0, "inhibitor": 8.0}
EC50 = 0.3  # of the inhibitor, µM
STROMA_HALF, CYTOKINE_HALF = 0.31, 0.18  # secretion at which a signal is half of its maximum
REFERENCE = 0.5  # both signals without dependence on the population
RESOLUTION = 1024.0  # values are multiples of 1/1024: exact in float32, and small when compressed


class Signal(NamedTuple):
    """What the cells of a population tell one another, each level in [0, 1).

    Attributes:
        stroma: Saturation of receivers by what fibroblasts secrete.
        cytokine: Saturation of receivers by what macrophages secrete.
    """

    stroma: float
    cytokine: float


@dataclass(frozen=True, eq=False)
class Panel:
    """The markers, and what each cell type and treatment does to them.

    Attributes:
        markers: Names, length d.
        base: Mean of each cell type, shape [k, d].
        cycle, activation: Loadings of the two cell states, shape [d].
        secretion: Loadings of the secretory activity, shape [k, d]; zero for types that do not secrete.
        directions: Unit vectors along which each cell type moves, by name, shape [k, d].
    """

    markers: tuple[str, ...]
    base: np.ndarray
    cycle: np.ndarray
    activation: np.ndarray
    secretion: np.ndarray
    directions: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Patient:
    """The truth about one patient.

    Attributes:
        name: Such as `"P07"`.
        proportions: Of the cell types, shape [k], summing to one.
        activity: Mean secretory activity of each cell type, shape [k].
        offset: Baseline of each marker in each replicate, shape [r, d].
        signal: What the cells of this patient tell one another.
    """

    name: str
    proportions: np.ndarray
    activity: np.ndarray
    offset: np.ndarray
    signal: Signal


class Cells(NamedTuple):
    """Cells before measurement.

    Attributes:
        kind: Position in CELL_TYPES, shape [n].
        cycle, activation: States, standard normal, shape [n].
        levels: Marker levels without noise or offset, shape [n, d].
    """

    kind: np.ndarray
    cycle: np.ndarray
    activation: np.ndarray
    levels: np.ndarray


def draw_panel(n_markers: int, rng: np.random.Generator) -> Panel:
    """The panel of `n_markers` >= 20 markers: 16 with a fixed role, the others respond to treatment."""
    k, n_response = len(CELL_TYPES), n_markers - N_FIXED_MARKERS
    markers = [f"{kind}_{i}" for kind in CELL_TYPES for i in (1, 2)]
    markers += [f"{state}_{i}" for state in ("cycle", "activation", "secretion") for i in (1, 2)]
    at = {name: i for i, name in enumerate(markers)}
    response = np.arange(N_FIXED_MARKERS, n_markers)

    base = np.full((k, n_markers), 0.6)
    secretion = np.zeros((k, n_markers))
    cycle, activation = np.zeros(n_markers), np.zeros(n_markers)
    for row, kind in enumerate(CELL_TYPES):
        base[row, [at[f"{kind}_1"], at[f"{kind}_2"]]] = (3.8, 3.0)
    base[:, [at[f"{state}_{i}"] for state in ("cycle", "activation") for i in (1, 2)]] = 2.2
    base[:, response] = 3.0 + 1.6 * (rng.random((k, n_response)) - 0.5)
    cycle[[at["cycle_1"], at["cycle_2"]]] = (0.9, 0.7)
    activation[[at["activation_1"], at["activation_2"]]] = (0.9, 0.7)
    activation[response] = 0.4 * (rng.random(n_response) - 0.5)
    secretion[FIBROBLAST, at["secretion_1"]] = 1.6
    secretion[MACROPHAGE, at["secretion_2"]] = 1.6
    return Panel(
        markers=(*markers, *(f"response_{i + 1:02d}" for i in range(n_response))),
        base=base,
        cycle=cycle,
        activation=activation,
        secretion=secretion,
        directions=_directions(n_markers, rng),
    )


def _directions(n_markers: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Unit vectors on the response markers: one part shared by all cell types, one of each type's own."""
    shape = (len(CELL_TYPES), n_markers - N_FIXED_MARKERS)
    parts = {}
    for name in ("agonist", "toxic", "turn", "inhibitor"):
        shared, own = _unit(rng.standard_normal((1, shape[1]))), _unit(rng.standard_normal(shape))
        parts[name] = _unit(shared + 0.8 * own)
    # Part of what chemo does changes sign with the stroma, so that no average of patients is right.
    toxic, turn = parts.pop("toxic"), parts.pop("turn")
    parts |= {"damage": _unit(toxic + 1.3 * turn), "rescue": _unit(toxic - 1.3 * turn)}
    fixed = np.zeros((shape[0], N_FIXED_MARKERS))
    return {name: np.concatenate([fixed, vectors], axis=1) for name, vectors in parts.items()}


def draw_patient(
    name: str, index: int, design: np.ndarray, rng: np.random.Generator, n_markers: int, offset: float
) -> Patient:
    """The truth about the patient at position `index`, whoever else is in the cohort.

    Fibroblast and macrophage content follow a Kronecker sequence that starts at `design` (shape [2], in
    [0, 1)): spread evenly over their range for any number of patients, so that a patient left out lies
    among the others.
    """
    steps = (0.6180339887498949, 0.41421356237309515)  # golden ratio and root of two, less one
    u = [(float(design[j]) + index * steps[j]) % 1.0 for j in (0, 1)]
    fibroblast = 0.05 + 0.55 * u[0]
    macrophage = (1 - fibroblast) * (0.04 + 0.62 * u[1])
    weights = (np.array([3.0, 1.5, 1.5]) * (0.8 + 0.4 * rng.random(3))).tolist()
    others = [w * (1 - fibroblast - macrophage) / math.fsum(weights) for w in weights]
    proportions = np.array([*others, fibroblast, macrophage])
    activity = 0.85 + 0.3 * rng.random(len(CELL_TYPES))
    baseline = offset * rng.standard_normal(n_markers)
    plates = 0.25 * offset * rng.standard_normal((len(REPLICATES), n_markers))
    return Patient(name, proportions, activity, baseline + plates, signal_of(proportions, activity))


def signal_of(proportions: np.ndarray, activity: np.ndarray) -> Signal:
    """Signals of a population with these proportions and mean activities, each of shape [k]."""
    stroma = float(proportions[FIBROBLAST] * activity[FIBROBLAST]) / STROMA_HALF
    cytokine = float(proportions[MACROPHAGE] * activity[MACROPHAGE]) / CYTOKINE_HALF
    cubed, squared = stroma * stroma * stroma, cytokine * cytokine
    return Signal(cubed / (cubed + 1.0), squared / (squared + 1.0))


def damped(signal: Signal, signalling: float) -> Signal:
    """The signal as receivers hear it: everyone hears `REFERENCE` where `signalling` is 0."""
    stroma, cytokine = (REFERENCE + signalling * (level - REFERENCE) for level in signal)
    return Signal(stroma, cytokine)


def draw_cells(panel: Panel, patient: Patient, n_cells: int, rng: np.random.Generator) -> Cells:
    """Untreated cells of a patient; types are drawn from the proportions, one by one."""
    edges = np.cumsum(patient.proportions)[:-1]
    kind = np.searchsorted(edges, rng.random(n_cells), side="right")
    cycle, activation, spread = rng.standard_normal((3, n_cells))
    activity = patient.activity[kind] * (1.0 + 0.4 * spread)
    levels = (
        panel.base[kind]
        + cycle[:, None] * panel.cycle
        + activation[:, None] * panel.activation
        + activity[:, None] * panel.secretion[kind]
    )
    return Cells(kind, cycle, activation, levels)


def displacement(panel: Panel, cells: Cells, treatment: str, dose: float, signal: Signal) -> np.ndarray:
    """What a treatment adds to the marker levels of each cell, shape [n, d]; see `cohort.py`.

    Args:
        panel: The marker panel.
        cells: Untreated cells.
        treatment: One of TREATMENTS.
        dose: Of the inhibitor, µM; the other treatments have a single dose, which changes nothing.
        signal: The signals that the cells hear.
    """
    state = cells.activation if treatment == "agonist" else cells.cycle
    size = AMPLITUDE[treatment] * np.array(RESPONSIVENESS[treatment])[cells.kind] * responder(state)
    directions = {name: vectors[cells.kind] for name, vectors in panel.directions.items()}
    if treatment == "agonist":
        return (size * signal.cytokine)[:, None] * directions["agonist"]
    if treatment == "inhibitor":
        strength = dose / (dose + EC50) * (1.0 - signal.stroma)
        return (size * strength)[:, None] * directions["inhibitor"]
    mixed = (1.0 - signal.stroma) * directions["damage"] + signal.stroma * directions["rescue"]
    return size[:, None] * mixed


def responder(state: np.ndarray) -> np.ndarray:
    """How much of the response a cell in this state shows: from 0 to 1, half at state 0."""
    steep = 2.0 * state
    return 0.5 + 0.5 * steep / np.sqrt(1.0 + steep * steep)


def measure(
    levels: np.ndarray, patient: Patient, replicate: np.ndarray, noise: float, rng: np.random.Generator
) -> np.ndarray:
    """Marker intensities as an instrument gives them, on the arcsinh scale, float32, shape [n, d].

    Baseline of the patient and Gaussian noise are added, then a smooth floor keeps intensities positive.
    """
    seen = levels + patient.offset[replicate] + noise * rng.standard_normal(levels.shape)
    floored = 0.5 * (seen + np.sqrt(seen * seen + 0.25))
    return (np.rint(floored * RESOLUTION) / RESOLUTION).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows divided by their length; exact sums, so that no library's summation order shows."""
    lengths = [math.sqrt(math.fsum((row * row).tolist())) for row in vectors]
    return vectors / np.array(lengths)[:, None]
