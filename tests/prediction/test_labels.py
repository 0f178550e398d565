"""Labels of a new file against those of training, and which of its cells are controls."""

import numpy as np
import pytest
import torch

from cellflow_cli.data.renaming import rename
from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.evaluation.align import align
from cellflow_cli.prediction import PredictionRequest, plan_prediction, predict
from cellflow_cli.prediction.known_cells import _share_found


def relabelled(cohort, column, old, new):
    changed = cohort.copy()
    changed.obs[column] = changed.obs[column].astype(str).replace({old: new})
    return changed


@pytest.fixture(scope="module")
def ctrl(model, cohort):
    """The cohort with another word for untreated."""
    return relabelled(cohort, "treatment", model.spec.control[0], "ctrl")


def test_another_label_for_untreated(model, cohort, ctrl):
    with pytest.raises(DataError, match="Choose it with `--control`"):
        plan_prediction(model, ctrl, PredictionRequest())
    made = predict(model, ctrl, PredictionRequest(control=("ctrl ",)))
    usual = predict(model, cohort, PredictionRequest())
    assert np.array_equal(made.X, usual.X)
    assert made.obs.equals(usual.obs)


def test_the_truth_is_then_read_with_a_rename(model, ctrl):
    control = model.spec.control[0]
    made = predict(model, ctrl, PredictionRequest(control="ctrl"))
    with pytest.raises(DataError, match=f"--rename treatment:{control}=ctrl"):
        align(made.obs, ctrl.obs, model.spec)
    assert align(made.obs, rename(ctrl.obs, [f"treatment:{control}=ctrl"]), model.spec).pairs


def test_the_control_is_no_treatment_and_not_half_of_the_controls(model, cohort):
    with pytest.raises(ConfigError, match="a treatment that the model was trained on"):
        plan_prediction(model, cohort, PredictionRequest(control="drug"))
    mixed = cohort.copy()
    values = mixed.obs["treatment"].astype(str).to_numpy()
    values[np.flatnonzero(values == model.spec.control[0])[::2]] = "ctrl"
    mixed.obs["treatment"] = values
    with pytest.raises(DataError, match="Name both"):
        plan_prediction(model, mixed, PredictionRequest(control="ctrl"))


def test_few_cells_knowingly(model, cohort):
    few = cohort[(cohort.obs["patient"] == "P5") & (cohort.obs["treatment"] == model.spec.control[0])][
        :3
    ].copy()
    with pytest.raises(DataError, match="`--min-cells`"):
        plan_prediction(model, few, PredictionRequest())
    assert plan_prediction(model, few, PredictionRequest(min_cells=3)).n_rows == 12


def test_a_training_patient_cannot_come_back_under_another_spelling(model, cohort):
    with pytest.raises(DataError, match="like 'P1' of the model but for case.*--rename patient:P1=p1"):
        plan_prediction(model, relabelled(cohort, "patient", "P1", "p1"), PredictionRequest())
    planned = plan_prediction(model, relabelled(cohort, "patient", "P1", "P1\u00a0"), PredictionRequest())
    assert [task.control.name for task in planned.tasks] == ["P5"]


def test_the_spelling_of_the_file_is_kept(model, cohort):
    made = predict(model, relabelled(cohort, "patient", "P5", "P5 "), PredictionRequest())
    assert set(made.obs["patient"]) == {"P5 "}


def test_merged_spellings_are_remarked(model, cohort):
    mixed = cohort.copy()
    mixed.obs["patient"] = [f"{p} " if i % 2 else p for i, p in enumerate(cohort.obs["patient"])]
    remarks = " ".join(plan_prediction(model, mixed, PredictionRequest()).warnings)
    assert "'P5' in 2 ways, read as one label" in remarks
    assert "'P1'" not in remarks


def test_training_cells_under_a_new_name_are_recognised(model, cohort):
    renamed = relabelled(cohort, "patient", "P1", "Q9")
    remarks = plan_prediction(model, renamed, PredictionRequest()).warnings
    assert any("'Q9' are those of the training sample 'P1'" in remark for remark in remarks)
    assert not any(
        "training sample" in r for r in plan_prediction(model, cohort, PredictionRequest()).warnings
    )


def test_samples_chosen_by_text(model, cohort):
    comma = relabelled(cohort, "patient", "P5", "Doe, J.")
    planned = plan_prediction(model, comma, PredictionRequest(samples={"patient": "Doe, J."}))
    assert [task.control.name for task in planned.tasks] == ["Doe, J."]
    both = plan_prediction(model, comma, PredictionRequest(samples={"patient": "P1,Doe, J."}))
    assert [task.control.name for task in both.tasks] == ["Doe, J.", "P1"]


def test_cells_of_few_values_are_not_recognised_by_chance(rng):
    counts = torch.randint(0, 4, (300, 3), generator=rng).float()
    others = torch.randint(0, 4, (300, 3), generator=rng).float()
    assert _share_found(torch.unique(counts, dim=0), others) == 0.0
    cells = torch.randn(300, 3, generator=rng)
    assert _share_found(cells[:100], cells + 1e-7) == 1.0
    assert _share_found(cells[:100], torch.randn(300, 3, generator=rng)) == 0.0
