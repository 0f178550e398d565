"""Many models on one data set: methods side by side over seeds and held-out groups."""

from cellflow_cli.study._study import Study, cores, run
from cellflow_cli.study.folds import Fold, folds_by_column, folds_by_group, not_scored
from cellflow_cli.study.jobs import Job, Measure
from cellflow_cli.study.variants import Variant, read_variants, variants_of_methods

__all__ = [
    "Variant",
    "Fold",
    "Job",
    "Measure",
    "Study",
    "variants_of_methods",
    "cores",
    "folds_by_column",
    "folds_by_group",
    "not_scored",
    "read_variants",
    "run",
]
