import dataclasses

import numpy as np
import pytest

from cellflow_cli.data.populations import population_table
from cellflow_cli.data.split import split_groups, validation_groups
from cellflow_cli.errors import ConfigError, DataError


def split(cohort, spec, seed=0, **changes):
    spec = dataclasses.replace(spec, **changes)
    return split_groups(cohort.obs, spec, population_table(cohort.obs, spec), seed)


def test_without_holdout_all_groups_train(cohort, spec):
    found = split(cohort, spec)
    assert (found.train, found.val, found.test) == (("P1", "P2", "P3", "P4"), (), ())


def test_named_groups_are_held_out(cohort, spec):
    assert split(cohort, spec, holdout=("patient=P2,P4",)).test == ("P2", "P4")
    both = split(cohort, spec, holdout=("patient=P2", "patient=P4"))
    assert both.test == ("P2", "P4")
    assert both.train == ("P1", "P3")


def test_a_group_without_populations_is_in_no_split(cohort, spec):
    cohort = cohort[~((cohort.obs["patient"] == "P4") & (np.arange(cohort.n_obs) % 2 == 0))].copy()
    found = split(cohort, spec, holdout=("patient=P3,P4",), drop_small=True)
    assert (found.train, found.test) == (("P1", "P2"), ("P3",))


def test_any_column_that_is_constant_in_a_group_may_choose(cohort, spec):
    cohort.obs["site"] = np.where(cohort.obs["patient"].isin(["P1", "P2"]), "A", "B")
    assert split(cohort, spec, holdout=("site=B",)).test == ("P3", "P4")


def test_a_fraction_is_drawn_from_the_seed(cohort, spec):
    found = [split(cohort, spec, seed=seed, holdout=("0.5",)) for seed in range(12)]
    assert all(len(f.test) == len(f.train) == 2 and not set(f.test) & set(f.train) for f in found)
    assert found[0] == split(cohort, spec, seed=0, holdout=("0.5",))
    assert len({f.test for f in found}) > 1


def test_a_small_fraction_holds_out_one(cohort, spec):
    assert len(split(cohort, spec, holdout=("0.01",)).test) == 1


def test_a_fraction_that_leaves_nothing(cohort, spec):
    with pytest.raises(ConfigError, match="leave a group"):
        split(cohort, spec, holdout=("0.95",))


def test_a_column_says_the_split(cohort, spec):
    cohort.obs["split"] = cohort.obs["patient"].map({"P1": "train", "P2": "train", "P3": "val", "P4": "test"})
    found = split(cohort, spec, split_key="split")
    assert (found.train, found.val, found.test) == (("P1", "P2"), ("P3",), ("P4",))


def test_a_group_in_two_splits_is_a_leak(cohort, spec):
    cohort.obs["split"] = np.where(np.arange(cohort.n_obs) < 40, "train", "test")
    with pytest.raises(DataError, match=r"'test', 'train' in 'P1'.*leak between splits"):
        split(cohort, spec, split_key="split")


def test_holding_out_part_of_a_group_is_a_leak(cohort, spec):
    with pytest.raises(DataError, match=r"leak between splits.*--holdout patient="):
        split(cohort, spec, holdout=("treatment=drugA",))


def test_unknown_names(cohort, spec):
    with pytest.raises(DataError, match=r"Expected 'P22'.*Did you mean 'P2'"):
        split(cohort, spec, holdout=("patient=P22",))
    with pytest.raises(DataError, match=r"Did you mean 'patient'.*--holdout"):
        split(cohort, spec, holdout=("patients=P2",))
    cohort.obs["split"] = cohort.obs["patient"].map(lambda p: "training" if p == "P1" else "test")
    with pytest.raises(DataError, match=r"found 'training' too.*Did you mean 'train'"):
        split(cohort, spec, split_key="split")


def test_nothing_left_to_train_on(cohort, spec):
    with pytest.raises(DataError, match="treated populations to train on"):
        split(cohort, spec, holdout=("patient=P1,P2,P3,P4",))
    obs = cohort.obs
    cohort = cohort[~((obs["patient"] == "P4") & (obs["treatment"] != "DMSO"))].copy()
    with pytest.raises(DataError, match="treated populations to train on"):
        split(cohort, spec, holdout=("patient=P1,P2,P3",))


@pytest.mark.parametrize(
    ("n_groups", "n_validation"), [(0, 0), (1, 0), (2, 1), (3, 1), (6, 3), (8, 3), (24, 4), (100, 15)]
)
def test_the_number_of_validation_groups(n_groups, n_validation):
    groups = tuple(f"P{i}" for i in range(n_groups))
    found = validation_groups(groups, seed=0)
    assert len(found) == n_validation
    assert set(found) <= set(groups)


def test_validation_does_not_depend_on_order():
    assert validation_groups(("a", "b", "c"), 3) == validation_groups(("c", "a", "b"), 3)
    assert len({validation_groups(tuple("abcdefgh"), seed) for seed in range(20)}) > 1
