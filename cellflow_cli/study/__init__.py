"""Many models on one data set: methods side by side over seeds and held-out groups."""

from cellflow_cli.study.folds import Fold, folds_by_column, folds_by_group, not_scored
from cellflow_cli.study.job import StudyJob
from cellflow_cli.study.running import cores, run
from cellflow_cli.study.study import Study
from cellflow_cli.study.variants import Variant, read_variants, variants_of_methods

__all__ = [
    "Fold",
    "Study",
    "StudyJob",
    "Variant",
    "cores",
    "folds_by_column",
    "folds_by_group",
    "not_scored",
    "read_variants",
    "run",
    "variants_of_methods",
]
