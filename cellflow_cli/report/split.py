"""What a score was taken on: scored populations, their sizes, and what training had seen of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anndata
import pandas as pd

from cellflow_cli.baselines import Summaries
from cellflow_cli.evaluation.align import Aligned, align
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.types import Condition


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One scored population.

    Attributes:
        sample, group: Names.
        condition: What was done.
        n_control, n_predicted, n_measured: Cells in the files, of which a score may use some.
        condition_trained: Whether training had other populations under this condition; None if the
            prediction does not tell.
    """

    sample: str
    group: str
    condition: Condition
    n_control: int
    n_predicted: int
    n_measured: int
    condition_trained: bool | None


@dataclass(frozen=True, kw_only=True)
class Split:
    """Everything scored, and what training had seen.

    Attributes:
        group_key: Column of the unit of holding out.
        dose_unit: For labels; empty where there are no doses.
        populations: Scored ones, by sample and condition.
        train_groups: Groups of the training part; empty if the prediction does not tell.
    """

    group_key: str
    dose_unit: str
    populations: tuple[Scored, ...]
    train_groups: tuple[str, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Scored groups in order."""
        return _distinct(p.group for p in self.populations)

    @property
    def samples(self) -> tuple[str, ...]:
        """Scored samples in order."""
        return _distinct(p.sample for p in self.populations)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Labels of the scored conditions in order."""
        return _distinct(p.condition.label for p in self.populations)

    @property
    def untrained_conditions(self) -> tuple[str, ...]:
        """Labels of the scored conditions that training had in no population at all."""
        return _distinct(p.condition.label for p in self.populations if p.condition_trained is False)


def read_split(
    predicted: anndata.AnnData, truth: anndata.AnnData, *, summaries: Summaries | None = None
) -> Split:
    """What the scores of these two files were taken on.

    Args:
        predicted: Reads obs and `uns["cellflow"]`.
        truth: Reads obs.
        summaries: Of the training populations; default: those stored in the prediction.

    Raises:
        DataError: As `align` and `PredictionFile.read`.
    """
    provenance = PredictionFile.read(predicted)
    spec, known = provenance.spec, summaries or provenance.summaries
    trained = None if known is None or not known.samples else {c for c in known.conditions if c is not None}
    groups = {*provenance.train_groups, *(known.groups if known else ())}
    return Split(
        group_key=spec.group,
        dose_unit=spec.dose_unit if spec.dose_key else "",
        populations=tuple(_scored(p, trained) for p in align(predicted.obs, truth.obs, spec).pairs),
        train_groups=tuple(sorted(groups)),
    )


def split_of(table: pd.DataFrame) -> Split:
    """As much of a split as a table of scores tells: no sizes of files, nothing about training.

    Args:
        table: As `Scores.table`; `n` stands in for all sizes.
    """
    first = table.drop_duplicates(["sample", "treatment", "dose"])
    return Split(
        group_key="group",
        dose_unit="",
        populations=tuple(
            Scored(
                sample=str(line.sample),
                group=str(line.group),
                condition=Condition(str(line.treatment), None if pd.isna(line.dose) else float(line.dose)),
                n_control=int(line.n),
                n_predicted=int(line.n),
                n_measured=int(line.n),
                condition_trained=None,
            )
            for line in records(first)
        ),
        train_groups=(),
    )


def records(table: pd.DataFrame) -> list[Any]:
    """The lines of a table with its columns as attributes."""
    return list(table.itertuples())


def _scored(pair: Aligned, trained: set[Condition] | None) -> Scored:
    return Scored(
        sample=pair.name,
        group=pair.group,
        condition=pair.condition,
        n_control=len(pair.control),
        n_predicted=len(pair.predicted),
        n_measured=len(pair.target),
        condition_trained=None if trained is None else pair.condition in trained,
    )


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
