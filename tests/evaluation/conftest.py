"""A small cohort with known shifts, and predictions of its held-out patients."""

import json
from collections.abc import Callable

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

from cellflow_cli.baselines import summarise
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.evaluation.evaluate import evaluate
from cellflow_cli.types import Condition, Population, PopulationPair

MARKERS = ["m1", "m2", "m3", "m4", "m5"]
SHIFTS = {("drug", 0.1): 1.0, ("drug", 1.0): 2.0, ("other", np.nan): -1.5}
TRAIN, TEST = ("P1", "P2", "P3"), ("P4", "P5")
SPEC = DataSpec(treatment_key="treatment", control="DMSO", sample_key="patient", dose_key="dose")


def score(
    predicted, truth, *, transform=None, summaries=None, extra_predictions=None, device=None,
    on_progress=None, **settings,
):  # fmt: skip
    """`evaluate` with the settings as arguments."""
    return evaluate(
        predicted, truth, EvaluationConfig(**settings), transform=transform, summaries=summaries,
        extra_predictions=extra_predictions, device=device, on_progress=on_progress,
    )  # fmt: skip


def make_truth(patients=TRAIN + TEST, n=60, draw=0) -> anndata.AnnData:
    """Normal controls; treated are shifted along two markers, a little more for later patients."""
    cells, rows = [], []
    for p, patient in enumerate(patients):
        for (treatment, dose), shift in {("DMSO", np.nan): 0.0, **SHIFTS}.items():
            rng = np.random.default_rng(
                [draw, int(patient[1:]), len(treatment), int(10 * np.nan_to_num(dose))]
            )
            x = rng.normal(size=(n, len(MARKERS))) * [1, 2, 3, 1, 1]
            x[:, 1] += x[:, 0]
            x[:, :2] += shift * (1 + 0.1 * p)
            cells.append(x + 0.2 * int(patient[1:]))
            rows += [{"patient": patient, "treatment": treatment, "dose": dose}] * n
    obs = pd.DataFrame(rows, index=[f"cell{i}" for i in range(len(rows))])
    return anndata.AnnData(np.concatenate(cells).astype(np.float32), obs=obs, var=pd.DataFrame(index=MARKERS))


def make_prediction(
    truth: anndata.AnnData, spec=SPEC, patients=TEST, conditions=tuple(SHIFTS), moved=None, controls=True
) -> anndata.AnnData:
    """A prediction as `cellflow predict` writes it: `moved(flow cells, patient, condition)` for each."""
    moved = moved or (lambda cells, patient, condition: cells + SHIFTS[condition] * np.array([1, 1, 0, 0, 0]))
    train = np.flatnonzero(truth.obs["patient"].isin(TRAIN))
    transform = fit_features(truth, spec, train)
    control_at = {p: _rows(truth, p, ("DMSO", np.nan)) for p in patients}
    parts, flows, tables = [], [], []
    for patient in patients if controls else ():
        flows.append(transform.apply(truth, control_at[patient]))
        parts.append(transform.expression(truth, control_at[patient]))
        tables.append(truth.obs.iloc[control_at[patient]].assign(cellflow_is_predicted=False))
    for patient in patients:
        for treatment, dose in conditions:
            source = transform.apply(truth, control_at[patient])
            flows.append(np.asarray(moved(source, patient, (treatment, dose)), dtype=np.float32))
            parts.append(transform.invert(flows[-1])[0])
            table = truth.obs.iloc[control_at[patient]].assign(treatment=treatment, dose=dose)
            tables.append(table.iloc[: len(flows[-1])].assign(cellflow_is_predicted=True))
    obs = pd.concat(tables)
    obs.index = [f"row{i}" for i in range(len(obs))]
    summaries = summarise(
        _pairs(truth, transform), torch.as_tensor(transform.scale), torch.Generator()
    ).light()
    text = {f.name: getattr(spec, f.name) for f in spec.__dataclass_fields__.values()}
    uns = {
        "version": "0.1.0",
        "model_id": "abc",
        "seed": 0,
        "spec": json.dumps(text),
        "transform_json": json.dumps(transform.to_json()),
        "transform": transform.arrays(),
        "summaries_json": json.dumps(summaries.to_json()),
        "summaries": summaries.arrays(),
        "train_groups": np.array(TRAIN, dtype=object),
    }
    made = anndata.AnnData(
        np.concatenate(parts), obs=obs, var=pd.DataFrame(index=list(transform.genes)), uns={"cellflow": uns}
    )
    if transform.kind == "pca":
        made.obsm["X_pca"] = np.concatenate(flows)
    return made


def _pairs(truth, transform) -> list[PopulationPair]:
    found = []
    for patient in TRAIN:
        source = _population(truth, transform, patient, ("DMSO", np.nan), None)
        for treatment, dose in SHIFTS:
            condition = Condition(treatment, None if np.isnan(dose) else dose)
            target = _population(truth, transform, patient, (treatment, dose), condition)
            found.append(PopulationPair(source=source, target=target))
    return found


def _population(truth, transform, patient, key, condition) -> Population:
    cells = torch.as_tensor(transform.apply(truth, _rows(truth, patient, key)))
    return Population(sample=(patient,), group=patient, cells=cells, condition=condition)


def _rows(truth, patient, key) -> np.ndarray:
    dose = truth.obs["dose"].to_numpy(dtype=float)
    fits = np.isnan(dose) if np.isnan(key[1]) else dose == key[1]
    return np.flatnonzero((truth.obs["patient"] == patient) & (truth.obs["treatment"] == key[0]) & fits)


@pytest.fixture
def truth() -> anndata.AnnData:
    return make_truth()


@pytest.fixture
def fresh() -> anndata.AnnData:
    """Other cells of the same populations, row by row."""
    return make_truth(draw=1)


@pytest.fixture
def predict() -> Callable[..., anndata.AnnData]:
    return make_prediction


@pytest.fixture
def rows_of() -> Callable[..., np.ndarray]:
    return _rows
