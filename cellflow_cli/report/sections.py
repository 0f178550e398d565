"""What stands in each section of the page, as values for its template."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from cellflow_cli.prediction.file import OTHER_TOOL
from cellflow_cli.report import score_tables, tables
from cellflow_cli.report.cell_figures import plot_data
from cellflow_cli.report.data import ReportData, ScoredPopulations
from cellflow_cli.report.metric_docs import MetricCard, command, metric_cards, settings_lines
from cellflow_cli.report.tables import Table
from cellflow_cli.report.text import counted, hundredths, metric_title, names, number
from cellflow_cli.report.verdict_text import verdict_sentences, verdict_title
from cellflow_cli.statistics.baseline_ranking import floor_beside
from cellflow_cli.statistics.breakdown import labelled
from cellflow_cli.statistics.lines import FLOOR, MODEL, NULL
from cellflow_cli.statistics.summary import Summary, Unmatched
from cellflow_cli.statistics.verdict import Outcome

SECTIONS = (
    ("verdict", "Verdict"),
    ("split", "Split"),
    ("scores", "Scores"),
    ("confidence", "Confidence"),
    ("collapse", "Collapse"),
    ("population", "Context ablation"),
    ("pictures", "Cells"),
    ("audit", "Audit"),
    ("card", "Metric cards"),
)
_INTERVALS = (
    "Intervals come from a bootstrap over groups (10,000 draws, widened where groups are few). They hold the "
    "mean difference in about 95 % of repetitions if differences are normally distributed, and less often if "
    "they are skewed: in 83 to 91 % of simulations with six or eight groups. They are not widened for the "
    "number of baselines and metrics compared, and the best baseline is chosen by its score."
)
_NO_PATHS = "The paths between control and predicted cells are not drawn"
_NO_MODEL = "they need the model that made the prediction; name its folder with `--model`"
_FROM_OTHER_TOOL = "the prediction is of another tool, and its file does not say how the cells got there"


class Tile(NamedTuple):
    """One number at a glance."""

    title: str
    value: str
    note: str


class VerdictSection(NamedTuple):
    """The verdict, and warnings below it."""

    outcome: Outcome
    title: str
    text: str
    left_out: str
    tiles: Sequence[Tile]
    warnings: Sequence[str]


class SplitSection(NamedTuple):
    """What was scored, and what training had seen."""

    facts: Sequence[str]
    populations: Table


class ScoreSection(NamedTuple):
    """Every metric; `predictors` says what each of them is."""

    metrics: Table | None
    definitions: Sequence[Table]
    predictors: dict[str, str]
    normalised: Table | None


class ConfidenceSection(NamedTuple):
    """Intervals and breakdowns."""

    tables: Sequence[Table]
    notes: Sequence[str]


class CellSection(NamedTuple):
    """Interactive figures of cells: `data` is JSON for the script; empty without cells."""

    data: dict[str, Any]
    basis: str
    unit: str
    n_points: int
    no_paths: str


class MetricSection(NamedTuple):
    """Where every number comes from."""

    settings: Sequence[tuple[str, str]]
    cards: Sequence[MetricCard]
    command: str
    example: str


def verdict_section(data: ReportData) -> VerdictSection:
    """What the scores say."""
    return VerdictSection(
        outcome=data.verdict.outcome,
        title=verdict_title(data.verdict),
        text=" ".join(verdict_sentences(data.verdict, data.summary, data.scored)),
        left_out=_left_out(data.summary),
        tiles=_tiles(data),
        warnings=data.summary.warnings,
    )


def split_section(data: ReportData) -> SplitSection:
    """What was scored."""
    scores = data.all_scores
    table = labelled(scores.table.drop_duplicates(["sample", "treatment", "dose"]))
    keys = zip(table["sample"].astype(str), table["condition"], strict=True)
    cells_a_side = {key: int(n) for key, n in zip(keys, table["n"], strict=True)}
    return SplitSection(
        facts=[*_scored_facts(data.scored), *_unmatched_facts(data.summary.unmatched)],
        populations=tables.population_table(data.scored, scores.seen_in_training, cells_a_side),
    )


def score_section(data: ReportData) -> ScoreSection:
    """Every metric of every predictor."""
    scores, summary = data.scores, data.summary
    has_scale = NULL in scores.baselines and FLOOR in scores.predictors
    return ScoreSection(
        metrics=score_tables.metric_table(summary) if _has_own(summary) else None,
        definitions=score_tables.definition_tables(summary),
        predictors=score_tables.predictor_texts(scores),
        normalised=score_tables.normalised_table(summary) if has_scale else None,
    )


def confidence_section(data: ReportData) -> ConfidenceSection:
    """How sure the result is, and where it holds."""
    scores, summary, metric, scored = data.scores, data.summary, data.metric, data.scored
    samples_are_groups = len(scored.samples) == len(scored.groups)
    parts = (
        tables.interval_table(summary) if scores.baselines else None,
        score_tables.group_scores(scores, metric, "group", f"By group ({scored.group_key})"),
        None if samples_are_groups else score_tables.group_scores(scores, metric, "sample", "By sample"),
        score_tables.treatment_scores(scores, metric, scored.dose_unit),
        score_tables.type_scores(scores, summary, metric),
        score_tables.regime_table(scores, summary, metric),
        score_tables.population_scores(scores, metric, scored.dose_unit),
    )
    return ConfidenceSection([part for part in parts if part is not None], _confidence_notes(data))


def cell_section(data: ReportData) -> CellSection:
    """Cells of every population."""
    is_external = data.summary.settings.prediction.get("method") == OTHER_TOOL
    why = data.flows.reason or (_FROM_OTHER_TOOL if is_external else _NO_MODEL)
    no_paths = f"{_NO_PATHS}: {why}."
    if data.cells is None:
        return CellSection({}, "", "", 0, no_paths)
    sizes = [len(points) for one in data.cells.populations for points in one.roles.values()]
    return CellSection(
        data=plot_data(data.cells, data.shown[len(data.shown) // 2]),
        basis=data.cells.basis,
        unit=data.cells.unit,
        n_points=max(sizes),
        no_paths=no_paths,
    )


def metric_section(data: ReportData) -> MetricSection:
    """Where every number comes from."""
    config = data.scores.config
    return MetricSection(
        settings=settings_lines(data.summary),
        cards=metric_cards(data.summary, config, data.inputs),
        command=command(config, data.inputs),
        example=_example(data),
    )


def _left_out(summary: Summary) -> str:
    seen = sorted(summary.seen_groups)
    if not seen:
        return ""
    return (
        f"Verdict, tables and figures of scores leave out {counted(len(seen), 'group')} seen in training "
        f"({names(seen)}); scores.csv has them."
    )


def _tiles(data: ReportData) -> list[Tile]:
    metric, best = data.verdict.metric, data.verdict.best
    if metric is None or best is None:
        return []
    wish = "higher is better" if best.best == "high" else "lower is better"
    score = f"{best.better.k} of {best.better.n}"
    tiles = [
        Tile("Model", number(best.model), f"{metric_title(metric)}, {wish}"),
        Tile("Best baseline", number(best.value), best.baseline),
        Tile("Better on", score, f"groups, against {best.baseline}"),
    ]
    floor = floor_beside(data.scores.table, best.baseline, metric)
    if floor is not None:
        tiles.append(Tile("Noise floor", number(floor), "other measured cells of the population"))
    share = data.summary.normalised[MODEL][metric].value
    if share is not None:
        tiles.append(Tile("Normalised score", hundredths(share), "0: unchanged controls, 1: noise floor"))
    return tiles


def _scored_facts(scored: ScoredPopulations) -> list[str]:
    size = (
        f"Scored: {counted(len(scored.groups), 'group')}, {counted(len(scored.samples), 'sample')}, "
        f"{counted(len(scored.conditions), 'condition')} ({names(scored.conditions)}), "
        f"{counted(len(scored.populations), 'treated population')}."
    )
    facts = [
        "Training: the prediction does not say which groups the model was trained on.",
        size,
        "Overlap check: not possible.",
    ]
    if trained := scored.train_groups:
        both = sorted({*scored.groups} & {*trained})
        groups = f"{counted(len(trained), 'group')} (`{scored.group_key}`: {names(trained)})"
        overlap = f"{names(both)} in both" if both else "no scored group was trained on"
        facts = [f"Training, validation included: {groups}.", size, f"Overlap check: {overlap}."]
    if scored.conditions_known:
        facts.append(f"Conditions that training had nowhere: {names(scored.untrained_conditions) or 'none'}.")
    return facts


def _unmatched_facts(unmatched: Unmatched) -> list[str]:
    parts = {
        "Predicted but not measured": unmatched.only_predicted,
        "Measured but not predicted": unmatched.only_truth,
    }
    return [f"{title}, so not scored: {names(which)}." for title, which in parts.items() if which]


def _has_own(summary: Summary) -> bool:
    """Whether there are metrics of ours, and not of other projects alone."""
    return any(doc.origin is None for doc in summary.metrics.values())


def _confidence_notes(data: ReportData) -> list[str]:
    summary = data.summary
    differences = [paired for of_metric in summary.intervals.values() for paired in of_metric.values()]
    notes = [_INTERVALS] if any(paired.low is not None for paired in differences) else []
    if NULL in data.scores.baselines and summary.metrics[data.metric].best != "low":
        notes.append(
            f"No figure by size of the real effect: {metric_title(data.metric)} is no distance and does not "
            "say how large an effect is."
        )
    if summary.regimes.reason:
        notes.append(f"By size of effect: {summary.regimes.reason}.")
    if summary.cell_types.reason:
        notes.append(f"By cell type: {summary.cell_types.reason}.")
    return notes


def _example(data: ReportData) -> str:
    """The first value of the model in words; empty if it has none."""
    table = labelled(data.scores.table)
    is_shown = (table["predictor"] == MODEL) & (table["metric"] == data.metric) & table["value"].notna()
    if not is_shown.any():
        return ""
    line = table[is_shown].iloc[0]
    return (
        f"the line of sample `{line['sample']}`, condition `{line['condition']}`, predictor `{MODEL}`, "
        f"metric `{data.metric}` holds {number(float(line['value']), 6)}."
    )
