"""What is held out in turn."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.study.folds import _natural, folds_by_column, folds_by_group, not_scored

SPEC = DataSpec(treatment_key="treatment", control=("control",), sample_key=("patient",), min_cells=2)


def obs(n_patients=12, untreated=()):
    rows = [
        (f"P{p}", label)
        for p in range(1, n_patients + 1)
        for label in ("control", "drug")
        for _ in range(3)
        if not (label == "drug" and f"P{p}" in untreated)
    ]
    return pd.DataFrame(rows, columns=["patient", "treatment"], index=[f"c{i}" for i in range(len(rows))])


def test_every_treated_group_is_held_out_once_in_natural_order():
    folds = folds_by_group(obs(untreated=("P3",)), SPEC, 4)
    held = [fold.scored[0][1] for fold in folds]
    assert held[0] == ("P1", "P2", "P4")
    assert [g for part in held for g in part] == [f"P{p}" for p in range(1, 13) if p != 3]
    assert folds[0].spec.holdout == ("patient=P1,P2,P4",)


def test_by_default_one_fold_for_each_group_up_to_ten():
    assert len(folds_by_group(obs(5), SPEC, None)) == 5
    assert len(folds_by_group(obs(12), SPEC, None)) == 10


@pytest.mark.parametrize("n", [1, 13])
def test_impossible_numbers_of_folds_are_refused(n):
    with pytest.raises(ConfigError, match=f"between 2 and 12 folds.*found {n}"):
        folds_by_group(obs(), SPEC, n)


def test_a_group_with_a_comma_is_held_out_as_a_whole():
    table = obs()
    table["patient"] = table["patient"].replace("P7", "P7, left")
    folds = folds_by_group(table, SPEC, 3)
    held_out = [group for fold in folds for _, groups in fold.scored for group in groups]
    assert sorted(held_out) == sorted(set(table["patient"]))
    assert any("patient=P7, left" in fold.spec.holdout for fold in folds)


def with_rare(table, group, treated="drug"):
    """The treated cells of a group as if it alone had had the treatment `rare`."""
    return table.assign(
        treatment=table["treatment"].mask(
            (table["patient"] == group) & (table["treatment"] == treated), f"rare {group}"
        )
    )


def test_conditions_that_no_training_group_has_are_named_and_not_scored():
    more = obs(4).query("patient == 'P1' and treatment == 'drug'").assign(treatment="seldom")
    more.index = [f"d{i}" for i in range(len(more))]
    table = with_rare(pd.concat([obs(4), more]), "P4")
    folds = folds_by_group(table, SPEC, 2)
    assert [fold.scored for fold in folds] == [(("held out", ("P1", "P2")),), (("held out", ("P3",)),)]
    assert [(r["fold"], r["group"], r["treatment"]) for r in not_scored(folds)] == [
        ("1", "P1", "seldom"), ("2", "P4", "rare P4"),
    ]  # fmt: skip
    assert folds[1].spec.holdout == ("patient=P3,P4",)
    assert [fold.scored for fold in folds_by_group(table, SPEC, 4)][3] == ()


def test_folds_without_anything_to_score_are_refused():
    table = with_rare(with_rare(obs(2), "P1"), "P2")
    with pytest.raises(DataError, match="found 'rare P1', 'rare P2' in held-out groups alone"):
        folds_by_group(table, SPEC, 2)


def split_obs():
    table = obs(4)
    table["split"] = table["patient"].map({"P1": "train", "P2": "train", "P3": "val", "P4": "test"})
    table["shown"] = np.where(table["patient"] == "P2", "True", "False")
    return table


def test_a_split_column_makes_one_fold_with_parts():
    spec = replace(SPEC, split_key="split")
    (fold,) = folds_by_column(split_obs(), spec, "shown")
    assert dict(fold.scored) == {"train": ("P2",), "val": ("P3",), "test": ("P4",)}
    # a model that is trained again on the validation groups must not be scored on them
    (fold,) = folds_by_column(split_obs(), spec, validation=False)
    assert dict(fold.scored) == {"test": ("P4",)}
    table = split_obs()
    table["split"] = table["split"].replace("test", "val")
    with pytest.raises(DataError, match="training.refit=false"):
        folds_by_column(table, spec, validation=False)
    with pytest.raises(DataError, match="splt"):
        folds_by_column(split_obs(), replace(spec, split_key="splt"))
    table = split_obs()
    table["split"] = "train"
    with pytest.raises(DataError, match="found none to score"):
        folds_by_column(table, spec)
    table = split_obs()
    table["shown"] = "perhaps"
    with pytest.raises(DataError, match="Expected true or false"):
        folds_by_column(table, spec, "shown")
    with pytest.raises(DataError, match="--score-training"):
        folds_by_column(table, spec, "shwn")


def test_a_split_group_of_controls_alone_is_not_scored():
    table = split_obs()
    alone = table[table["patient"] == "P4"].query("treatment == 'control'").assign(patient="P5")
    alone.index = [f"d{i}" for i in range(len(alone))]
    (fold,) = folds_by_column(pd.concat([table, alone]), replace(SPEC, split_key="split"))
    assert dict(fold.scored) == {"val": ("P3",), "test": ("P4",)}


def test_marks_are_for_whole_samples():
    table = split_obs()
    table.loc[(table["patient"] == "P2") & (table["treatment"] == "control"), "shown"] = "False"
    with pytest.raises(DataError, match="mark whole samples, controls included, found some cells of 'P2'"):
        folds_by_column(table, replace(SPEC, split_key="split"), "shown")


@pytest.mark.parametrize("validation", [True, False])
def test_what_only_validation_groups_have_is_scored_if_they_teach_it(validation):
    treated = {"P1": "drug", "P2": "rare", "P3": "rare"}
    rows = [(p, t) for p in treated for t in ("control", treated[p]) for _ in range(30)]
    obs = pd.DataFrame(rows, columns=["patient", "treatment"])
    obs = pd.concat([obs, pd.DataFrame([("P3", "drug")] * 30, columns=obs.columns)], ignore_index=True)
    obs.index = obs.index.astype(str)
    obs["part"] = obs["patient"].map({"P1": "train", "P2": "val", "P3": "test"})
    spec = DataSpec(treatment_key="treatment", control="control", sample_key="patient", split_key="part")
    (fold,) = folds_by_column(obs, spec, None, validation=validation)
    lost = [(group, condition.treatment) for group, condition in fold.untrained]
    assert lost == ([("P2", "rare"), ("P3", "rare")] if validation else [])
    assert fold.scored == (("test", ("P3",)),)


def test_groups_sort_whatever_digits_they_have():
    """A superscript is a digit and no number."""
    assert sorted(["P10", "²", "P2", "10", "2"], key=_natural) == ["2", "10", "P2", "P10", "²"]
