"""Scores on a cohort of reduced size; run this file to write `cohort_scores.json` anew.

python -m tests.golden.cohort_scores
"""

import json
from pathlib import Path

import cellflow_cli as cf
from cellflow_cli.simulate.cohort import CohortConfig, simulate_cohort

SCORES = Path(__file__).with_suffix(".json")
COHORT = CohortConfig(n_patients=16, n_markers=24, min_cells=100, max_cells=120, doses=(1.0, 10.0))
HELD_OUT = ("P02", "P06", "P11", "P15")
TRAINING = cf.TrainingConfig(steps=300, validate_every=60, refit=False)


def scores() -> dict[str, float]:
    """Mean energy over held-out patients of `mfm`, `fm`, `mfm` told another patient, and baselines."""
    adata = simulate_cohort(COHORT, seed=1)
    spec = cf.DataSpec(
        treatment_key="treatment",
        control="control",
        sample_key="patient",
        dose_key="dose",
        holdout=f"patient={','.join(HELD_OUT)}",
    )
    found: dict[str, float] = {}
    for method in ("mfm", "fm"):
        model = cf.train(adata, spec, method=method, training=TRAINING, seed=0, device="cpu")
        found |= _energies(model, adata, method, "own")
        if method == "mfm":
            found["mfm, other population"] = _energies(model, adata, method, "other")[method]
    return found


def _energies(model: cf.Model, adata: object, method: str, population: str) -> dict[str, float]:
    from cellflow_cli.prediction import predict

    predicted = predict(model, adata, cf.PredictionRequest(population=population))
    means = cf.evaluate(predicted, adata, cf.EvaluationConfig(metrics=("energy",))).summary().predictors
    return {(method if name == "model" else name): entry["energy"].mean for name, entry in means.items()}


if __name__ == "__main__":
    SCORES.write_text(json.dumps(scores(), indent=2) + "\n")
    print(SCORES.read_text())  # noqa: T201
