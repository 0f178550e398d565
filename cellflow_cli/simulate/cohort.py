r"""A cohort of patients whose cells talk to one another, so that the population decides the response.

Everything is simulated. Five cell types, markers on the arcsinh scale, three treatments of which one has
several doses. Cell i of patient p has type k, a cycle state z and an activation state y, both N(0, 1),
and, where it is a fibroblast or a macrophage, a secretory activity a_i = a_pk (1 + 0.4 N(0, 1)).
Untreated, its marker levels are

    v_i = base_k + z_i cycle + y_i activation + a_i secretion_k.

*Composition.* Fibroblasts are f_p = 0.05 to 0.60 of a patient's cells, macrophages 0.04 to 0.66 of the
others; tumour, stem and T cells share what is left, about 2 : 1 : 1. Mean activities a_pk are 0.85 to 1.15.

*Signals.* What fibroblasts and macrophages secrete mixes in the whole population and saturates the cells
that listen, with f_p and m_p the shares of all cells:

    L_p = f_p a_p,fibroblast    stroma_p   = L_p^3 / (L_p^3 + 0.31^3)
    M_p = m_p a_p,macrophage    cytokine_p = M_p^2 / (M_p^2 + 0.18^2)

With `signalling` below one a cell hears 0.5 + signalling (s - 0.5) in place of each level s; at zero all
patients respond alike. Untreated cells do not react to the signals: one control cell says next to nothing
about them, the population of control cells says it all.

*Response.* A treated cell has levels v_i + r_k g(w_i) D_k. The responsiveness r_k depends on the type. The
gate g(w) = (1 + 2 w / sqrt(1 + 4 w^2)) / 2 lets cells of high state respond and others hardly. D_k says
along which markers and how far, with unit vectors for each type:

    inhibitor   D_k = 8 dose / (dose + 0.3 µM) (1 - stroma_p) inhibitor_k        w = z   stroma protects
    chemo       D_k = 8 ((1 - stroma_p) damage_k + stroma_p rescue_k)            w = z   stroma diverts
    agonist     D_k = 8 cytokine_p agonist_k                                     w = y   macrophages amplify

where damage_k and rescue_k are toxic_k + 1.3 turn_k and toxic_k - 1.3 turn_k at length one: what chemo does
along turn_k changes sign with the stroma. Treatment neither kills nor converts cells.

*Measurement.* x = (q + sqrt(q^2 + 1/4)) / 2 with q = v + offset + noise N(0, 1), a smooth floor at zero,
rounded to 1/1024. The offset of each marker, N(0, 0.06^2) per patient and a quarter of that per replicate,
is the same in control and treated cells and says nothing about the composition.

`control_population` and `treated_population` are the oracle: the truth about any patient at any size.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow_cli.errors import ConfigError, listed, nearest
from cellflow_cli.rng import derived_seed
from cellflow_cli.simulate import _tissue as tissue
from cellflow_cli.simulate._tissue import Signal
from cellflow_cli.types import Condition

CONTROL = "control"
SINGLE_DOSE = {"agonist": 1.0, "chemo": 5.0}


@dataclass(frozen=True, kw_only=True)
class CohortConfig:
    """Size and strength of a simulated cohort."""

    n_patients: int = field(default=24, metadata={"help": "Patients."})
    n_markers: int = field(default=30, metadata={"help": "Markers, 20 to 200; 16 of them have a fixed role."})
    min_cells: int = field(default=170, metadata={"help": "Minimum cells of a population."})
    max_cells: int = field(default=300, metadata={"help": "Maximum cells of a population."})
    doses: tuple[float, ...] = field(
        default=(0.3, 1.0, 10.0), metadata={"help": "Doses of the treatment that has several, µM."}
    )
    signalling: float = field(
        default=1.0,
        metadata={"help": "Strength of the dependence on the population, 0 (none) to 1."},
    )
    noise: float = field(default=0.25, metadata={"help": "Standard deviation of the measurement noise."})
    patient_offset: float = field(
        default=0.06, metadata={"help": "Standard deviation of the markers' baselines between patients."}
    )

    def __post_init__(self) -> None:
        """Refuse sizes and strengths that describe no cohort."""
        rules = (
            ("n_patients", 1 <= self.n_patients <= 9999, "between 1 and 9999"),
            ("n_markers", 20 <= self.n_markers <= 200, "between 20 and 200"),
            ("min_cells", self.min_cells >= 2, "at least 2"),
            ("max_cells", self.max_cells >= self.min_cells, f"at least `min_cells` ({self.min_cells})"),
            ("doses", _are_doses(self.doses), "one or more distinct positive numbers"),
            ("signalling", 0 <= self.signalling <= 1, "between 0 and 1"),
            ("noise", 0 <= self.noise < np.inf, "a number >= 0"),
            ("patient_offset", 0 <= self.patient_offset < np.inf, "a number >= 0"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise ConfigError(f"Expected `{name}` to be {expected}, found {getattr(self, name)!r}.")


def _are_doses(doses: tuple[float, ...]) -> bool:
    distinct = {f"{dose:g}" for dose in doses}
    return len(doses) > 0 and len(distinct) == len(doses) and all(0 < dose < np.inf for dose in doses)


def patients(config: CohortConfig) -> tuple[str, ...]:
    """Names of the patients: `P01`, `P02` and so on."""
    return tuple(f"P{i + 1:02d}" for i in range(config.n_patients))


def conditions(config: CohortConfig) -> tuple[Condition, ...]:
    """All treated conditions, sorted; every patient has every one of them."""
    single = [Condition(name, dose) for name, dose in SINGLE_DOSE.items()]
    return tuple(sorted([*single, *(Condition("inhibitor", float(dose)) for dose in config.doses)]))


def patient_truth(config: CohortConfig, seed: int, patient: str) -> tissue.Patient:
    """Proportions, activities, offsets and signals of a patient, whatever the size of the cohort.

    Raises:
        ConfigError: If the cohort has no patient of that name.
    """
    names = patients(config)
    if patient not in names:
        raise ConfigError(
            f"Expected a patient of the simulated cohort, found {patient!r}.{nearest(patient, names)} "
            f"Known: {listed(names)}."
        )
    design = _generator(seed, "design").random(2)
    rng = _generator(seed, "patient", patient)
    return tissue.draw_patient(
        patient, names.index(patient), design, rng, config.n_markers, config.patient_offset
    )


def simulate_cohort(config: CohortConfig, seed: int) -> AnnData:
    """A cohort in which every patient has controls and all treated conditions.

    Args:
        config: Size and strength.
        seed: Enters every draw, through a stream of its own for each patient and condition.

    Returns:
        AnnData with `X` float32; `obs["patient" | "treatment" | "dose" | "cell_type" | "replicate"]`,
        dose in µM, 0 for controls; `uns["source"]`, `uns["simulation"]` (config and seed as text) and
        `uns["truth"]` (composition and signals, a row per patient; no method may look at it).
    """
    parts = []
    for patient in patients(config):
        for condition in (None, *conditions(config)):
            rng = _generator(seed, "size", patient, _label(condition))
            n_cells = int(rng.integers(config.min_cells, config.max_cells, endpoint=True))
            # Measuring destroys a cell: the treated cells are others than the controls.
            cells = _generator(seed, "cells", patient, _label(condition))
            parts.append(_population(config, seed, patient, condition, n_cells, cells))
    obs = pd.concat([part.obs for part in parts])
    whole = _annotated(np.concatenate([part.X for part in parts]), obs, parts[0].var_names)
    whole.uns["source"] = (
        "Simulated, not measured: written by `cellflow simulate cohort`. No patient, drug or marker in "
        "it exists."
    )
    whole.uns["simulation"] = json.dumps({"kind": "cohort", "seed": seed, "config": asdict(config)})
    whole.uns["truth"] = _truth_table(config, seed)
    return whole


def control_population(
    config: CohortConfig, seed: int, patient: str, n_cells: int, *, draw: str = "oracle"
) -> AnnData:
    """Untreated cells of a patient, `n_cells` of them; see `treated_population`."""
    return _population(config, seed, patient, None, n_cells, _generator(seed, "oracle", patient, draw))


def treated_population(
    config: CohortConfig,
    seed: int,
    patient: str,
    condition: Condition,
    n_cells: int,
    *,
    signal: Signal | None = None,
    draw: str = "oracle",
) -> AnnData:
    """The true treated population of a patient: the oracle.

    Args:
        config: Of the cohort.
        seed: Of the cohort.
        patient: Name, such as `"P07"`.
        condition: Treatment and dose; the inhibitor may have any positive dose.
        n_cells: Size of the draw.
        signal: Signals in the tissue in place of the patient's own: what would happen to the same
            cells among other neighbours.
        draw: Name of the draw. The same name and size give the same cells untreated and under every
            condition and signal: row i is one cell in several worlds. None of them is in the cohort.

    Returns:
        AnnData with the columns of `simulate_cohort`.

    Raises:
        ConfigError: If patient, treatment or dose is unknown.
    """
    _check_condition(config, condition)
    cells = _generator(seed, "oracle", patient, draw)
    return _population(config, seed, patient, condition, n_cells, cells, signal)


def _check_condition(config: CohortConfig, condition: Condition) -> None:
    if condition.treatment not in tissue.TREATMENTS:
        hint = nearest(condition.treatment, tissue.TREATMENTS)
        raise ConfigError(
            f"Expected a simulated treatment, found {condition.treatment!r}.{hint} "
            f"Known: {listed(tissue.TREATMENTS)}."
        )
    only = SINGLE_DOSE.get(condition.treatment)
    dose = condition.dose
    if dose is None or not 0 < dose < np.inf or only not in (None, dose):
        expected = "a positive dose" if only is None else f"the dose {only:g} µM"
        raise ConfigError(f"Expected {expected} for {condition.treatment!r}, found {dose!r}.")


def _population(
    config: CohortConfig,
    seed: int,
    patient: str,
    condition: Condition | None,
    n_cells: int,
    rng: np.random.Generator,
    signal: Signal | None = None,
) -> AnnData:
    truth = patient_truth(config, seed, patient)
    panel = tissue.draw_panel(config.n_markers, _generator(seed, "panel", config.n_markers))
    cells = tissue.draw_cells(panel, truth, n_cells, rng)
    levels = cells.levels
    if condition is not None:
        heard = tissue.damped(signal or truth.signal, config.signalling)
        dose = float(condition.dose or 0.0)
        levels = levels + tissue.displacement(panel, cells, condition.treatment, dose, heard)
    replicate = np.arange(n_cells) % len(tissue.REPLICATES)
    values = tissue.measure(levels, truth, replicate, config.noise, rng)
    obs = pd.DataFrame(
        {
            "patient": patient,
            "treatment": CONTROL if condition is None else condition.treatment,
            "dose": 0.0 if condition is None else float(condition.dose or 0.0),
            "cell_type": np.array(tissue.CELL_TYPES)[cells.kind],
            "replicate": np.array(tissue.REPLICATES)[replicate],
        },
        index=[f"{patient}-{_label(condition).replace(' ', '-')}-{i:04d}" for i in range(n_cells)],
    )
    return _annotated(values, obs, panel.markers)


def _annotated(values: np.ndarray, obs: pd.DataFrame, markers: Sequence[str]) -> AnnData:
    for column in ("patient", "treatment", "cell_type", "replicate"):
        obs[column] = pd.Categorical(obs[column].astype(str))
    return AnnData(values, obs=obs, var=pd.DataFrame(index=list(markers)))


def _truth_table(config: CohortConfig, seed: int) -> pd.DataFrame:
    truths = [patient_truth(config, seed, patient) for patient in patients(config)]
    columns = {
        f"fraction_{kind}": [truth.proportions[i] for truth in truths]
        for i, kind in enumerate(tissue.CELL_TYPES)
    }
    signals = [tissue.damped(t.signal, config.signalling) for t in truths]
    columns["stroma"] = [signal.stroma for signal in signals]
    columns["cytokine"] = [signal.cytokine for signal in signals]
    return pd.DataFrame(columns, index=list(patients(config)))


def _label(condition: Condition | None) -> str:
    return CONTROL if condition is None else condition.label


def _generator(seed: int, *names: object) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derived_seed(seed, "cohort", *names)))
