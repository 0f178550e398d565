import dataclasses

import pandas as pd
import pytest

from cellflow_cli.data.columns import labels
from cellflow_cli.data.populations import control_table, population_table
from cellflow_cli.data.renaming import as_named, rename, rename_all
from cellflow_cli.data.split import split_groups
from cellflow_cli.data.validation.check import check
from cellflow_cli.errors import ConfigError, DataError


def test_columns_and_labels_are_renamed(cohort):
    renamed = rename(cohort, ["donor=patient", "donor:P9=P1", "treatment:none=DMSO"])
    assert set(renamed.obs["donor"]) == {"P9", "P2", "P3", "P4"}
    assert "none" in set(renamed.obs["treatment"])
    assert "patient" in cohort.obs
    assert renamed.X is cohort.X


def test_labels_may_be_swapped_and_merged(cohort):
    swapped = rename(cohort.obs, ["patient:P1=P2", "patient:P2=P1", "patient:P4=P3"])
    assert swapped["patient"].iloc[0] == "P2"
    assert set(swapped["patient"]) == {"P1", "P2", "P4"}


def test_names_that_hold_the_signs_themselves():
    obs = pd.DataFrame({"a:b": ["x=y", "u"], "c=d": ["1", "2"]})
    assert list(rename(obs, ["a:b:z=x=y"])["a:b"]) == ["z", "u"]
    assert list(rename(obs, ["e=c=d"]).columns) == ["a:b", "e"]


def test_odd_signs_may_be_typed_as_escapes():
    obs = pd.DataFrame({"donor": ["D\u200b1", "D2"]})
    assert list(rename(obs, ["donor:D1=D\\u200b1"])["donor"]) == ["D1", "D2"]


def test_what_does_not_occur_is_named(cohort):
    with pytest.raises(DataError, match="the label 'P11' .* Did you mean 'P1'"):
        rename(cohort, ["patient:P9=P11"])
    with pytest.raises(DataError, match="rename a label .* Did you mean 'patient'"):
        rename(cohort, ["patiend:P9=P1"])
    with pytest.raises(ConfigError, match="COLUMN:NEW=OLD"):
        rename(cohort, ["patient"])


def test_one_of_several_files_is_enough(cohort):
    other = cohort.obs.assign(treatment="ctrl")
    first, second = rename_all([cohort, other], ["treatment:DMSO=ctrl"])
    assert set(second["treatment"]) == {"DMSO"}
    assert set(first.obs["treatment"]) == {"DMSO", "drugA", "drugB"}


def test_one_sample_without_a_column(cohort, spec):
    alone = cohort[cohort.obs["patient"] == "P1"].copy()
    del alone.obs["patient"]
    named = as_named(alone, dataclasses.replace(spec, sample_name="P1"))
    assert set(named.obs["patient"]) == {"P1"}
    with pytest.raises(DataError, match="Leave the option out"):
        as_named(cohort, dataclasses.replace(spec, sample_name="P1"))


def test_spellings_of_one_donor_are_one_group(cohort, spec, saved):
    cohort.obs["patient"] = [
        f"{p} " if p == "P4" and i % 2 else p for i, p in enumerate(cohort.obs["patient"])
    ]
    held = dataclasses.replace(spec, holdout="patient=P4")
    split = split_groups(cohort.obs, held, population_table(cohort.obs, held), 0)
    assert split.test == ("P4",)
    assert split.train == ("P1", "P2", "P3")
    notes = " ".join(f.what for f in check([saved(cohort)], held).findings if f.level == "note")
    assert "'P4' in 2 ways, read as one label" in notes


def test_twins_stop_and_are_told_apart_by_rename(cohort, spec, saved):
    cohort.obs["patient"] = [
        "p4" if p == "P4" and i % 3 == 0 else p for i, p in enumerate(cohort.obs["patient"])
    ]
    with pytest.raises(DataError, match="'P4' .* and 'p4' .* alike but for case.*`--rename patient:P4=p4`"):
        population_table(cohort.obs, spec)
    both = dataclasses.replace(spec, rename=("patient:P4=p4",))
    assert not check([saved(cohort)], both).stops


def test_a_comma_in_a_held_out_label(cohort, spec):
    cohort.obs["patient"] = cohort.obs["patient"].replace({"P2": "Doe, J."})
    held = dataclasses.replace(spec, holdout=("patient=Doe, J.,P1",))
    split = split_groups(cohort.obs, held, population_table(cohort.obs, held), 0)
    assert split.test == ("Doe, J.", "P1")


def test_missing_values_say_whom_they_concern(cohort, spec, saved):
    cohort.obs["medium"] = [None if p == "P4" else "a" for p in cohort.obs["patient"]]
    held = dataclasses.replace(spec, covariate_key=("medium",), holdout=("patient=P4",))
    found = " ".join(f.what for f in check([saved(cohort)], held).findings)
    assert "They are of patient 'P4' (held out)." in found


def test_a_column_written_otherwise_is_named(cohort, spec):
    obs = cohort.obs.rename(columns={"patient": "patient "})
    with pytest.raises(DataError, match="--rename 'patient=patient '"):
        population_table(obs, spec)
    with pytest.raises(DataError, match="--rename 'patient=patient '"):
        control_table(obs, spec)


def test_numbers_are_one_label_in_every_form(spec):
    obs = pd.DataFrame({"patient": [1, 1.0, "1.0", b"1"]}, dtype=object)
    assert set(labels(obs["patient"])) == {"1"}
