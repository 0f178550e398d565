"""Many models on one data set: methods side by side over seeds and held-out groups."""

from cellflow_cli.study._study import Study, cores, run
from cellflow_cli.study.arms import Arm, arms_of_methods, read_arms
from cellflow_cli.study.folds import Fold, folds_by_column, folds_by_group, not_scored
from cellflow_cli.study.jobs import Job, Measure

__all__ = [
    "Arm",
    "Fold",
    "Job",
    "Measure",
    "Study",
    "arms_of_methods",
    "cores",
    "folds_by_column",
    "folds_by_group",
    "not_scored",
    "read_arms",
    "run",
]
