"""What baselines need of training cells, without a model: the features they define and summaries."""

from dataclasses import replace
from typing import NamedTuple

import anndata
import torch

from cellflow_cli import rng
from cellflow_cli.baselines import Summaries, summarise
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.populations import population_table
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.split import split_groups
from cellflow_cli.data.tensors import PopulationReader, vocabulary
from cellflow_cli.data.transform import FeatureTransform


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


def training_part(adata: anndata.AnnData, spec: DataSpec, seed: int) -> TrainingPart:
    """Features and summaries of the groups that training may see.

    Args:
        adata: Training cells; groups that `spec` holds out are left aside.
        spec: What the columns mean.
        seed: For the cells that are kept of each population.

    Raises:
        ConfigError, DataError: As `population_table`, `split_groups` and `fit_features`.
    """
    table = population_table(adata.obs, replace(spec, drop_small=True, drop_unpaired=True, batch_key=None))
    split = split_groups(adata.obs, spec, table, seed)
    groups = {treated.group for treated in table.treated} & {*split.train, *split.val}
    rows = table.rows_of(groups)
    transform = fit_features(adata, spec, rows, seed=seed)
    known = vocabulary(adata.obs, spec, rows)
    reader = PopulationReader(
        adata=adata, spec=spec, transform=transform, vocabulary=known, device=torch.device("cpu")
    )
    summaries = summarise(
        reader.pairs(table, sorted(groups)),
        torch.as_tensor(transform.scale, dtype=torch.float64),
        rng.stream(seed, "summaries"),
        cell_types=known.cell_types,
    )
    return TrainingPart(transform, summaries, table.dropped)
