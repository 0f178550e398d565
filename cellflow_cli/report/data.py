"""Everything that the sections of a report draw on: scores, what they say, and the cells they are of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from cellflow_cli.evaluation.align import Aligned, align
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.model import Model
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.report.cells import PlottedCells, PlottedPopulation, read_cells
from cellflow_cli.report.flows import Flows, read_flows
from cellflow_cli.statistics.breakdown import labelled
from cellflow_cli.statistics.lines import MODEL
from cellflow_cli.statistics.summary import Summary
from cellflow_cli.statistics.verdict import Verdict, reach_verdict
from cellflow_cli.types import Condition

_N_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the commands in the report name.

    Attributes:
        predicted, truth: Files as they were typed.
        options: What was typed besides settings of the evaluation: the model, and what is known of a
            prediction of another tool.
    """

    predicted: str = "PRED"
    truth: str = "TRUTH"
    options: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Names of the files without their folders, which belong into a command and not into a heading."""
        return f"{Path(self.predicted).name} against {Path(self.truth).name}"


@dataclass(frozen=True, kw_only=True)
class ScoredPopulation:
    """One scored population.

    Attributes:
        sample, group: Names.
        condition: What was done.
        n_control, n_predicted, n_measured: Cells in the files, of which a score may use some.
        condition_trained: Whether training had other populations under this condition; None if the
            prediction does not say.
    """

    sample: str
    group: str
    condition: Condition
    n_control: int
    n_predicted: int
    n_measured: int
    condition_trained: bool | None


@dataclass(frozen=True, kw_only=True)
class ScoredPopulations:
    """Everything scored, and what training had seen.

    Attributes:
        group_key: Column of the unit of holding out.
        dose_unit: For labels; empty where there are no doses.
        populations: Scored ones, by sample and condition.
        train_groups: Groups of the training part; empty if the prediction does not say.
    """

    group_key: str
    dose_unit: str
    populations: tuple[ScoredPopulation, ...]
    train_groups: tuple[str, ...] = ()

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
    def conditions_known(self) -> bool:
        """Whether the prediction says which conditions training had."""
        return self.populations[0].condition_trained is not None

    @property
    def untrained_conditions(self) -> tuple[str, ...]:
        """Labels of the scored conditions that training had in no population at all."""
        return _distinct(p.condition.label for p in self.populations if p.condition_trained is False)


@dataclass(frozen=True, eq=False, kw_only=True)
class ReportData:
    """Scores, what they say, and the cells they are of.

    Attributes:
        scores, summary: Of the groups that training never saw, if there are any, the metric that figures
            and tables show first in front.
        all_scores: Of all groups.
        scored: The populations.
        verdict: What the scores say.
        metric: What figures and tables show first.
        inputs: Names for commands.
        cells: The cells, if they are at hand.
        shown: Populations of the static figures.
        flows: Populations on their way.
    """

    scores: Scores
    summary: Summary
    all_scores: Scores
    scored: ScoredPopulations
    verdict: Verdict
    metric: str
    inputs: Inputs
    cells: PlottedCells | None = None
    shown: tuple[PlottedPopulation, ...] = ()
    flows: Flows = Flows()

    @classmethod
    def of(
        cls,
        scores: Scores,
        *,
        scored: ScoredPopulations | None = None,
        cells: PlottedCells | None = None,
        flows: Flows | None = None,
        inputs: Inputs | None = None,
    ) -> "ReportData":
        """From parts; what is left out is as far as possible taken from the table of scores."""
        summary = scores.summary()
        verdict = reach_verdict(summary)
        metric = verdict.metric or scores.metrics[0]
        # the metric of the verdict comes first in every table
        order = (metric, *(name for name in scores.metrics if name != metric))
        return cls(
            scores=replace(scores.unseen, metrics=order),
            summary=replace(summary, metrics={name: summary.metrics[name] for name in order}),
            all_scores=scores,
            scored=scored or scored_in(scores.table),
            verdict=verdict,
            metric=metric,
            inputs=inputs or Inputs(),
            cells=cells,
            shown=() if cells is None else best_to_worst(cells.populations, _costs(scores, summary, metric)),
            flows=flows or Flows(),
        )


def collect(
    scores: Scores,
    predicted: anndata.AnnData,
    truth: anndata.AnnData,
    model: Model | None = None,
    *,
    inputs: Inputs | None = None,
) -> ReportData:
    """All that a report shows, read from scores, files and model.

    Args:
        scores: Of `predicted` against `truth`.
        predicted: Output of `cellflow predict`; reads X, the features of the flow in obsm, obs and
            `uns["cellflow"]`.
        truth: Measured cells as the training data were given.
        model: Made the prediction; without it there are no paths.
        inputs: Names for the commands on the page.

    Raises:
        DataError: As `align` and `PredictionFile.read`, or if nobody knows the feature transform.
    """
    file = PredictionFile.read(predicted)
    if model is not None:
        file = file.with_model(model.transform, model.summaries)
    pairs = align(predicted.obs, truth.obs, file.spec).pairs
    seed = scores.config.seed
    cells = read_cells(file, truth, pairs, seed=seed)
    data = ReportData.of(scores, scored=read_scored(file, pairs), cells=cells, inputs=inputs)
    if model is None:
        return data
    return replace(data, flows=read_flows(data.shown, cells.projection, model, file, pairs, seed=seed))


def read_scored(file: PredictionFile, pairs: Sequence[Aligned]) -> ScoredPopulations:
    """The scored populations of a prediction, and what training had seen.

    Args:
        file: The prediction.
        pairs: Populations that were both predicted and measured.
    """
    spec, known = file.spec, file.summaries
    trained = None if known is None or not known.samples else {c for c in known.conditions if c is not None}
    groups = {*file.train_groups, *(known.groups if known else ())}
    return ScoredPopulations(
        group_key=spec.group,
        dose_unit=spec.dose_unit if spec.dose_key else "",
        populations=tuple(_scored(pair, trained) for pair in pairs),
        train_groups=tuple(sorted(groups)),
    )


def scored_in(table: pd.DataFrame) -> ScoredPopulations:
    """The populations in a table of scores: no sizes of files, nothing about training.

    Args:
        table: As `Scores.table`; `n` stands in for all sizes.
    """
    first = table.drop_duplicates(["sample", "treatment", "dose"])
    return ScoredPopulations(
        group_key="group",
        dose_unit="",
        populations=tuple(
            ScoredPopulation(
                sample=str(line["sample"]),
                group=str(line["group"]),
                condition=condition_of(line["treatment"], line["dose"]),
                n_control=int(line["n"]),
                n_predicted=int(line["n"]),
                n_measured=int(line["n"]),
                condition_trained=None,
            )
            for line in first.to_dict("records")
        ),
    )


def best_to_worst(
    populations: Sequence[PlottedPopulation], costs: Mapping[tuple[str, str], float], n: int = _N_SHOWN
) -> tuple[PlottedPopulation, ...]:
    """The best, the median and the worst predicted population, or fewer; the first ones without costs.

    Args:
        populations: All that could be shown.
        costs: By sample and condition, low is best.
        n: Maximum number; three or more are spread evenly over the ranks.
    """
    ranked = sorted((one for one in populations if one.key in costs), key=lambda one: costs[one.key])
    if not ranked:
        return tuple(populations[:n])
    ranks = np.unique(np.rint(np.linspace(0, len(ranked) - 1, min(n, len(ranked)))).astype(int))
    return tuple(ranked[i] for i in ranks)


def condition_of(treatment: object, dose: float) -> Condition:
    """The condition of a line of the table of scores."""
    return Condition(str(treatment), None if pd.isna(dose) else float(dose))


def _costs(scores: Scores, summary: Summary, metric: str) -> dict[tuple[str, str], float]:
    """One metric of the model by sample and condition, turned so that low is best."""
    table = labelled(scores.unseen.table)
    model = table[(table["predictor"] == MODEL) & (table["metric"] == metric)].dropna(subset=["value"])
    sign = -1.0 if summary.metrics[metric].best == "high" else 1.0
    keys = zip(model["sample"].astype(str), model["condition"].astype(str), strict=True)
    return {key: sign * float(value) for key, value in zip(keys, model["value"], strict=True)}


def _scored(pair: Aligned, trained: set[Condition] | None) -> ScoredPopulation:
    return ScoredPopulation(
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
