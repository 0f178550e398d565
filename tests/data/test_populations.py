import dataclasses

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.data.populations import POOLED, control_table, population_table
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import DataError
from cellflow_cli.types import Condition


def with_spec(spec, **changes):
    return dataclasses.replace(spec, **changes)


def test_every_cell_is_in_the_population_of_its_labels(cohort, spec):
    table = population_table(cohort.obs, spec)
    assert [p.sample for p in table.controls] == [("P1",), ("P2",), ("P3",), ("P4",)]
    assert len(table.treated) == 8
    for population in (*table.controls, *table.treated):
        rows = cohort.obs.iloc[population.rows]
        treatment = "DMSO" if population.condition is None else population.condition.treatment
        assert set(rows["treatment"]) == {treatment}
        assert set(rows["patient"]) == set(population.sample)
        assert (np.diff(population.rows) > 0).all()
    taken = np.concatenate([p.rows for p in (*table.controls, *table.treated)])
    assert sorted(taken) == list(range(cohort.n_obs))


def test_treated_meets_the_control_of_its_patient(cohort, spec):
    table = population_table(cohort.obs, spec)
    for treated in table.treated:
        assert table.source_of(treated).sample == treated.sample
    assert table.conditions == (Condition("drugA"), Condition("drugB"))
    assert table.groups == ("P1", "P2", "P3", "P4")


def test_the_order_of_rows_does_not_matter(cohort, spec):
    order = np.random.default_rng(1).permutation(cohort.n_obs)
    table, shuffled = population_table(cohort.obs, spec), population_table(cohort.obs.iloc[order], spec)
    assert table.treated == shuffled.treated
    for one, other in zip(table.treated, shuffled.treated, strict=True):
        assert sorted(order[other.rows]) == list(one.rows)


def test_obs_is_not_modified(cohort, spec):
    before = cohort.obs.copy()
    population_table(cohort.obs, spec)
    pd.testing.assert_frame_equal(cohort.obs, before)


def test_controls_are_pooled_over_the_keys_that_are_not_matched(cohort, spec):
    spec = with_spec(spec, sample_key=("patient", "well"), match_key=("patient",))
    table = population_table(cohort.obs, spec)
    treated = table.treated[0]
    assert treated.sample == ("P1", "drugA1")
    assert table.source_of(treated).sample == ("P1", POOLED)
    assert len(table.controls) == 4


def test_several_labels_of_control_are_one(cohort, spec):
    table = population_table(cohort.obs, with_spec(spec, control=("DMSO", "drugB")))
    assert {len(p.rows) for p in table.controls} == {50}
    assert table.conditions == (Condition("drugA"),)


def test_doses_divide_a_treatment(cohort, spec):
    cohort.obs["dose"] = np.where(cohort.obs["treatment"] == "DMSO", np.nan, 1.0)
    cohort.obs.loc[cohort.obs["treatment"] == "drugA", "dose"] = np.float32(0.1)
    cohort.obs.loc[
        cohort.obs["patient"].isin(["P1", "P2"]) & (cohort.obs["treatment"] == "drugA"), "dose"
    ] = 10
    table = population_table(cohort.obs, with_spec(spec, dose_key="dose"))
    assert table.conditions == (Condition("drugA", 0.1), Condition("drugA", 10.0), Condition("drugB", 1.0))
    assert len(table.treated) == 8


def test_a_treatment_without_doses_among_dosed_ones(cohort, spec):
    cohort.obs["dose"] = np.where(cohort.obs["treatment"] == "drugA", 1.0, np.nan)
    table = population_table(cohort.obs, with_spec(spec, dose_key="dose"))
    assert table.conditions == (Condition("drugA", 1.0), Condition("drugB"))


def test_numbers_as_samples(cohort, spec):
    cohort.obs["donor"] = cohort.obs["patient"].str[1:].astype(float)
    table = population_table(cohort.obs, with_spec(spec, sample_key=("donor",)))
    assert table.groups == ("1", "2", "3", "4")


@pytest.mark.parametrize(
    ("column", "message"),
    [("treatment", r"'treatmen'|--treatment-key"), ("patient", r"--sample-key")],
)
def test_a_missing_column(cohort, spec, column, message):
    obs = cohort.obs.rename(columns={column: f"{column}s"})
    with pytest.raises(DataError, match=rf'Expected `obs\["{column}"\]`.*Did you mean .{column}s.*{message}'):
        population_table(obs, spec)


def test_a_missing_treatment_column_names_the_one_with_a_control(cohort, spec):
    obs = cohort.obs.rename(columns={"treatment": "drug"})
    with pytest.raises(DataError, match=r"`drug` contains 'DMSO'"):
        population_table(obs, spec)


def test_an_unknown_control(cohort, spec):
    with pytest.raises(
        DataError, match=r"control 'dmso', found 3.*Did you mean 'DMSO'\? Choose it with `--control`"
    ):
        population_table(cohort.obs, with_spec(spec, control=("dmso",)))
    with pytest.raises(DataError, match=r"'DMSO' looks untreated"):
        population_table(cohort.obs, with_spec(spec, control=("vehicle",)))


def test_every_label_of_control_must_occur(cohort, spec):
    with pytest.raises(DataError, match="control 'PBS'"):
        population_table(cohort.obs, with_spec(spec, control=("DMSO", "PBS")))


def test_missing_labels(cohort, spec):
    cohort.obs.loc["cell3", "patient"] = None
    with pytest.raises(DataError, match=r'"patient".*none for 1 of 300 cells.*\'cell3\''):
        population_table(cohort.obs, spec)


def test_treated_without_control(cohort, spec):
    obs = cohort.obs[~((cohort.obs["patient"] == "P2") & (cohort.obs["treatment"] == "DMSO"))]
    with pytest.raises(DataError, match=r"2 of 8: 'P2, drugA', 'P2, drugB'.*--drop-unpaired"):
        population_table(obs, spec)
    table = population_table(obs, with_spec(spec, drop_unpaired=True))
    assert table.groups == ("P1", "P3", "P4")
    assert table.dropped == ("P2, drugA", "P2, drugB")


def _thinned(cohort, label, n_cells):
    patient, treatment = label
    chosen = (cohort.obs["patient"] == patient) & (cohort.obs["treatment"] == treatment)
    return cohort.obs.drop(index=cohort.obs.index[chosen][n_cells:])


def test_a_small_population_is_named(cohort, spec):
    obs = _thinned(cohort, ("P3", "drugB"), 3)
    with pytest.raises(DataError, match=r"at least 20 cells.*1 of 12: 'P3, drugB \(3 cells\)'.*--drop-small"):
        population_table(obs, spec)
    assert len(population_table(obs, with_spec(spec, min_cells=3)).treated) == 8
    table = population_table(obs, with_spec(spec, drop_small=True))
    assert table.dropped == ("P3, drugB",)
    assert len(table.treated) == 7


def test_a_small_control_takes_its_treated_along(cohort, spec):
    table = population_table(_thinned(cohort, ("P3", "DMSO"), 3), with_spec(spec, drop_small=True))
    assert table.groups == ("P1", "P2", "P4")
    assert table.dropped == ("P3, control", "P3, drugA", "P3, drugB")


def test_exactly_the_minimum_is_enough(cohort, spec):
    population_table(_thinned(cohort, ("P3", "DMSO"), 20), spec)
    with pytest.raises(DataError, match="19 cells"):
        population_table(_thinned(cohort, ("P3", "DMSO"), 19), spec)


def test_controls_only(cohort, spec):
    with pytest.raises(DataError, match="found controls only"):
        population_table(cohort.obs[cohort.obs["treatment"] == "DMSO"], spec)


@pytest.mark.parametrize(
    ("dose", "message"),
    [
        ("high", r"found 'high' in 25 cells.*--dose-key"),
        (-1, r"found '-1'"),
        (np.nan, r"cells with and without in 'drugA'"),
    ],
)
def test_doses_that_make_no_sense(cohort, spec, dose, message):
    column = pd.Series(1.0, index=cohort.obs.index, dtype=object)
    column[(cohort.obs["treatment"] == "drugA") & (cohort.obs["patient"] == "P2")] = dose
    cohort.obs["dose"] = column
    with pytest.raises(DataError, match=message):
        population_table(cohort.obs, with_spec(spec, dose_key="dose"))


def test_the_dose_of_controls_does_not_matter(cohort, spec):
    cohort.obs["dose"] = np.where(cohort.obs["treatment"] == "DMSO", "none", "1")
    assert population_table(cohort.obs, with_spec(spec, dose_key="dose")).conditions[0].dose == 1.0


def test_a_sample_in_two_groups(cohort, spec):
    cohort.obs["site"] = np.where(np.arange(cohort.n_obs) % 2, "A", "B")
    with pytest.raises(DataError, match=r"within each patient, found 'A', 'B' in 'P1'.*--sample-key site"):
        population_table(cohort.obs, with_spec(spec, group_key="site"))


def test_controls_shared_by_two_groups_would_leak(cohort, spec):
    cohort.obs["plate"] = np.where(cohort.obs["patient"].isin(["P1", "P2"]), "a", "b")
    spec = with_spec(spec, sample_key=("patient", "plate"), match_key=("plate",))
    with pytest.raises(DataError, match=r"found 'P1', 'P2' in 'a'.*--match-key patient"):
        population_table(cohort.obs, spec)


def test_treated_cells_on_the_controls_of_another_group_would_leak(cohort, spec):
    cohort.obs["plate"] = np.where(cohort.obs["patient"].isin(["P1", "P2"]), "a", "b")
    keep = (cohort.obs["treatment"] == "DMSO") == cohort.obs["patient"].isin(["P1", "P3"])
    spec = with_spec(spec, sample_key=("patient", "plate"), match_key=("plate",))
    with pytest.raises(DataError, match=r"found 'P1', 'P2' in 'a'"):
        population_table(cohort.obs[keep], spec)


def test_a_covariate_is_one_value_per_sample(cohort, spec):
    cohort.obs["culture"] = cohort.obs["well"]
    with pytest.raises(DataError, match=r"--covariate-key culture"):
        population_table(cohort.obs, with_spec(spec, covariate_key=("culture",)))


def test_pairs_are_whole_numbers_once_per_population(cohort, spec):
    cohort.obs["pair"] = cohort.obs.groupby(["patient", "treatment"]).cumcount()
    paired = with_spec(spec, pairs_key="pair")
    assert len(population_table(cohort.obs, paired).treated) == 8
    with pytest.raises(DataError, match=r"found 1 more than once in 'P1, control'"):
        population_table(cohort.obs.assign(pair=1), paired)
    with pytest.raises(DataError, match="whole numbers"):
        population_table(cohort.obs.assign(pair=0.5), paired)


def test_controls_of_a_file_to_predict_from(cohort, spec):
    controls = control_table(cohort.obs, spec)
    assert controls == population_table(cohort.obs, spec).controls
    only = cohort.obs[cohort.obs["treatment"] == "DMSO"]
    assert control_table(only, with_spec(spec, control=("DMSO", "PBS"))) == controls


def test_untreated_cells_alone(cohort, spec):
    bare = cohort.obs[["well"]].copy()
    with pytest.raises(DataError, match=r"--rename treatment=COLUMN.*--assume-control"):
        control_table(bare, spec)
    with pytest.raises(DataError, match=r"--rename patient=COLUMN.*--sample-name"):
        control_table(bare, spec, assume_control=True)
    (population,) = control_table(bare, spec, assume_control=True, sample_name="P99")
    assert population.sample == ("P99",)
    assert population.group == "P99"
    assert len(population.rows) == cohort.n_obs
    assert list(bare.columns) == ["well"]


def test_a_file_to_predict_from_without_controls(cohort, spec):
    treated = cohort.obs[cohort.obs["treatment"] != "DMSO"]
    with pytest.raises(DataError, match="control 'DMSO'"):
        control_table(treated, spec)


def test_small_controls_to_predict_from(cohort, spec):
    obs = _thinned(cohort, ("P3", "DMSO"), 3)
    with pytest.raises(DataError, match=r"'P3, control \(3 cells\)'"):
        control_table(obs, spec)
    assert len(control_table(obs, with_spec(spec, drop_small=True))) == 3


def test_a_population_of_another_table(cohort, spec):
    table = population_table(cohort.obs, spec)
    stranger = dataclasses.replace(table.treated[0], sample=("P9",))
    with pytest.raises(DataError, match="'P9, drugA'"):
        table.source_of(stranger)


def test_a_library_user_may_give_a_bare_spec(cohort):
    spec = DataSpec(treatment_key="treatment", control="DMSO", sample_key="patient")
    assert len(population_table(cohort.obs, spec).treated) == 8
