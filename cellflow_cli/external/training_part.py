"""What a comparison needs besides a prediction, without a model: features and training summaries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import anndata
import numpy as np
import torch

from cellflow_cli import rng
from cellflow_cli.baselines import Summaries, summarise
from cellflow_cli.data.columns import is_missing, where
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.populations import population_table
from cellflow_cli.data.read import feature_names
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.split import split_groups
from cellflow_cli.data.tensors import PopulationReader, vocabulary
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import DataError, listed, nearest
from cellflow_cli.external.cells import IN_ORDER


class TrainingPart(NamedTuple):
    """What is known of a training part.

    Attributes:
        transform: Features of the flow and their training spread.
        summaries: Of its populations; None where they are not known.
        dropped: Titles of populations that were left out.
    """

    transform: FeatureTransform
    summaries: Summaries | None
    dropped: tuple[str, ...] = ()


def of_training(
    adata: anndata.AnnData, spec: DataSpec, names: Sequence[str], seed: int, *, shared_only: bool
) -> TrainingPart:
    """Features and summaries of the groups that training may see.

    Args:
        adata: Training cells; groups that `spec` holds out are left aside.
        spec: What the columns mean.
        names: Features that were predicted.
        seed: For the cells that are kept of each population.
        shared_only: Leave out features that were not predicted, instead of refusing them.

    Raises:
        ConfigError, DataError: As `population_table`, `split_groups` and `fit_features`; or if features
            were not predicted.
    """
    adata = _predicted_features(adata, spec, names, shared_only)
    table = population_table(adata.obs, replace(spec, drop_small=True, drop_unpaired=True, batch_key=None))
    split = split_groups(adata.obs, spec, table, seed)
    groups = {treated.group for treated in table.treated} & {*split.train, *split.val}
    rows = table.rows_of(groups)
    transform, words = fit_features(adata, spec, rows, seed=seed), vocabulary(adata.obs, spec, rows)
    reader = PopulationReader(
        adata=adata, spec=spec, transform=transform, vocabulary=words, device=torch.device("cpu")
    )
    summaries = summarise(
        reader.pairs(table, sorted(groups)),
        torch.as_tensor(transform.scale, dtype=torch.float64),
        rng.stream(seed, "summaries"),
        cell_types=words.cell_types,
    )
    return TrainingPart(transform, summaries, table.dropped)


def of_truth(
    truth: anndata.AnnData, spec: DataSpec, names: Sequence[str], seed: int, *, shared_only: bool
) -> TrainingPart:
    """Features of the measured cells, where no training cells are known; the arguments of `of_training`.

    Raises:
        DataError: If a column is missing, or features were not predicted.
    """
    cells = _predicted_features(truth, spec, names, shared_only)
    keys = [*spec.sample_key, spec.treatment_key]
    if absent := [key for key in keys if key not in truth.obs.columns]:
        columns = listed(sorted(map(str, truth.obs.columns)), 10) or "none"
        raise DataError(
            f'Expected `obs["{absent[0]}"]` in the truth, found the columns {columns}.{where(truth.obs)}'
            f"{nearest(absent[0], truth.obs.columns)} Choose it with `--sample-key` or `--treatment-key`."
        )
    is_labelled = ~np.any([is_missing(truth.obs[key]) for key in keys], axis=0)
    return TrainingPart(fit_features(cells, spec, np.flatnonzero(is_labelled), seed=seed), None)


def _predicted_features(
    adata: anndata.AnnData, spec: DataSpec, names: Sequence[str], shared_only: bool
) -> anndata.AnnData:
    """The cells with the features that were predicted."""
    expected = feature_names(adata, spec.features)
    missing = sorted(set(expected) - set(names))
    if not missing:
        return adata
    n_shared = len(expected) - len(missing)
    if shared_only and n_shared:
        kept = set(names)
        return adata[:, [name in kept for name in expected]]
    fix = "Compare the shared ones alone with `--shared-features`."
    if not n_shared:
        fix = f"Use the names of the truth, or say with {IN_ORDER} that the order is the same."
    raise DataError(
        f"Expected a prediction of all {len(expected)} features, found {n_shared} of them; missing are "
        f"{listed(missing)}. {fix}"
    )
