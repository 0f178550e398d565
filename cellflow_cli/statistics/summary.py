"""The summary of a table of scores: everything that tables, verdict and figures are made of."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pandas as pd

from cellflow_cli.published_metrics import described, find, origin_of
from cellflow_cli.statistics._json import plain
from cellflow_cli.statistics.ablation import Ablation, ablation
from cellflow_cli.statistics.by_type import CellTypes, TypeScores, of_types
from cellflow_cli.statistics.collapse import Collapse, collapse
from cellflow_cli.statistics.degenerate_ranks import DegenerateRanks, degenerate_ranks
from cellflow_cli.statistics.intervals import PairedDifference, intervals
from cellflow_cli.statistics.lines import DECODED, FLOOR, MODEL, Lines, count_conditions
from cellflow_cli.statistics.means import Count, GroupMeans, Means, Range, better_than, by_group, over_groups
from cellflow_cli.statistics.normalised import NormalisedScore, normalised
from cellflow_cli.statistics.regimes import Regimes, regimes


@dataclass(frozen=True)
class MetricDoc:
    """What a metric is.

    Attributes:
        definition: In one line.
        best: Best value: low, high or one.
        space: What it looks at, flow or genes.
        origin: The project that it is reproduced from; None for ours.
    """

    definition: str
    best: str
    space: str
    origin: str | None


@dataclass(frozen=True)
class Replicates:
    """In how many of the conditions the floor is between replicates.

    Attributes:
        key: Column of obs with the replicate.
        n_between: Conditions whose floor is between replicates.
        n_conditions: All conditions.
    """

    key: str
    n_between: int
    n_conditions: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the numbers depend on.

    Attributes:
        max_cells: Maximum cells on either side.
        all_cells: Whether all measured cells were compared, which leaves no floor.
        floor_splits: Random splits that the floor is the mean of; 0 without a floor.
        audit, ablation: Whether degenerate predictors, and the model given other populations, were scored.
        seed: Of subsamples and bootstrap draws.
        scaled: Whether features of the flow were divided by their training spread.
        features: Feature space of the flow, such as `pca:30`.
        n_features, n_genes: Its width, and the number of genes or markers.
        prediction: What the prediction says of itself: model, method, version.
        definitions: Projects whose metrics were added.
        replicates: What the floor is between, where replicates are known.
    """

    max_cells: int = 2500
    all_cells: bool = False
    floor_splits: int = 1
    audit: bool = True
    ablation: bool = False
    seed: int = 0
    scaled: bool = True
    features: str = "X"
    n_features: int = 0
    n_genes: int = 0
    prediction: Mapping[str, Any] = field(default_factory=dict)
    definitions: tuple[str, ...] = ()
    replicates: Replicates | None = None


@dataclass(frozen=True)
class Unmatched:
    """Populations that are in one of the files only.

    Attributes:
        only_predicted: Predicted populations without measured cells.
        only_truth: Measured populations of predicted samples without prediction.
    """

    only_predicted: tuple[str, ...] = ()
    only_truth: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Means over conditions within a group, then over groups, and what they say.

    Everything is about the groups that training never saw; where it saw all, about those.

    Attributes:
        predictors: For each predictor and metric the mean over groups.
        better_than: For each baseline and metric, on how many groups the model is better.
        intervals: For each baseline and metric the difference model minus baseline.
        normalised: For the model, each baseline and metric the way from the null to the floor that is
            covered.
        regimes: Means by size of the real effect.
        ablation: Whether it matters whose population the model is given.
        collapse: Variance of predicted over measured cells.
        audit: Which metrics rank a degenerate predictor first.
        cell_types: The means of each cell type by itself.
        groups: For each group, predictor and metric the mean over its conditions.
        seen_groups: The same for groups that training saw and that are left out of all the rest.
        metrics: What each metric is.
        n_conditions: Conditions scored.
        n_cells: The smallest and largest number of cells on either side.
        settings: What the numbers depend on.
        unmatched: Populations without a partner.
        seen_in_training: Scored groups that the model was trained on.
        warnings: Sentences that belong beside the numbers.
    """

    predictors: Means
    better_than: Mapping[str, Mapping[str, Count]]
    intervals: Mapping[str, Mapping[str, PairedDifference]]
    normalised: Mapping[str, Mapping[str, NormalisedScore]]
    regimes: Regimes
    ablation: Ablation
    collapse: Collapse
    audit: DegenerateRanks
    cell_types: CellTypes
    groups: GroupMeans
    seen_groups: GroupMeans
    metrics: Mapping[str, MetricDoc]
    n_conditions: int
    n_cells: Range
    settings: Settings
    unmatched: Unmatched
    seen_in_training: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `summary.json` holds them."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Tables:
    """All tables of one evaluation.

    Attributes:
        scores: With the columns `lines.COLUMNS`.
        by_type: The same for each cell type by itself.
        out_of_range: Share of the values out of range, as a table like `scores`.
    """

    scores: pd.DataFrame
    by_type: TypeScores
    out_of_range: pd.DataFrame

    def without(self, groups: Collection[str]) -> "Tables":
        """The tables without the lines of some groups; all of them if no line would be left."""
        rest = _drop(self.scores, groups)
        if not groups or rest.empty:
            return self
        types = self.by_type
        if not types.table.empty:
            types = replace(types, table=_drop(types.table, groups))
        return Tables(scores=rest, by_type=types, out_of_range=_drop(self.out_of_range, groups))


def _drop(table: pd.DataFrame, groups: Collection[str]) -> pd.DataFrame:
    return table[~table["group"].isin(set(groups))]


def predictors_of(table: pd.DataFrame, baselines: Sequence[str]) -> tuple[str, ...]:
    """Predictors of every condition, in order; those of audit and ablation are left out."""
    decoded = (DECODED,) if (table["predictor"] == DECODED).any() else ()
    return (MODEL, *baselines, *decoded, FLOOR)


def summary_of(
    tables: Tables,
    *,
    metrics: Sequence[str],
    baselines: Sequence[str],
    settings: Settings,
    seen_in_training: Sequence[str] = (),
    unmatched: Unmatched | None = None,
    warnings: Sequence[str] = (),
) -> Summary:
    """The summary of an evaluation.

    Args:
        tables: Of all groups.
        metrics: Names of the metrics.
        baselines: Names of the baselines.
        settings: What the numbers depend on; reads the seed, the floor's splits and what the decoder clipped.
        seen_in_training: Scored groups that the model was trained on.
        unmatched: Populations without a partner.
        warnings: Sentences that belong beside the numbers.
    """
    unseen = tables.without(seen_in_training)
    table, seen = unseen.scores, tables.scores[~tables.scores["group"].isin(unseen.scores["group"])]
    predictors, lines, outside = (
        predictors_of(tables.scores, baselines),
        Lines(table),
        Lines(unseen.out_of_range),
    )
    best, seed = {name: find(name).best for name in metrics}, settings.seed
    contestants = [name for name in predictors if name != FLOOR]
    return Summary(
        predictors=over_groups(lines, predictors, metrics),
        better_than={name: better_than(lines, name, best) for name in baselines},
        intervals={name: intervals(lines, name, best, seed) for name in baselines},
        normalised=normalised(lines, contestants, best, settings.floor_splits),
        regimes=regimes(lines, predictors, metrics),
        ablation=ablation(lines, best, seed),
        collapse=collapse(lines, settings.prediction.get("fraction_clipped"), outside),
        audit=degenerate_ranks(lines, best),
        cell_types=of_types(unseen.by_type, predictors),
        groups=by_group(lines, predictors, metrics),
        seen_groups=by_group(Lines(seen), predictors, metrics),
        metrics=_docs(metrics),
        n_conditions=count_conditions(table),
        n_cells=Range(int(table["n"].min()), int(table["n"].max())),
        settings=settings,
        unmatched=unmatched or Unmatched(),
        seen_in_training=tuple(seen_in_training),
        warnings=tuple(warnings),
    )


def _docs(metrics: Sequence[str]) -> dict[str, MetricDoc]:
    definitions = described(metrics)
    return {
        name: MetricDoc(definitions[name], find(name).best, find(name).space, origin_of(name))
        for name in metrics
    }
