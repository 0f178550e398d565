"""The tables and the figure of a comparison: made of its finished jobs, written, shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cellflow_cli.cli import console
from cellflow_cli.errors import CellflowError, ConfigError, listed

if TYPE_CHECKING:
    import pandas as pd

    from cellflow_cli.study import Study

FILES = ("scores.csv", "means.csv", "paired.csv", "summary.json")


def read_reference(file: Path, study: "Study") -> "pd.DataFrame":
    """Published scores, checked before anything is trained.

    Raises:
        ConfigError: If the file is no table with the columns predictor, part, metric and value, if a value
            is no number, if a predictor has the name of one of the study, or a part is none of the study.
    """
    import pandas as pd

    try:
        table = pd.read_csv(file, comment="#")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Expected a CSV file at `{file}`, found: {error}. Choose with `--reference`."
        ) from error
    table = _with_numbers(table, file)
    _check_names(table, file, study)
    parts = {part for fold in study.folds for part, _ in fold.scored}
    in_study = table["part"].isin(parts)
    if not in_study.any():
        raise ConfigError(
            f"Expected parts of the study ({listed(parts)}) in the column part of `{file}`, found "
            f"{listed(dict.fromkeys(table['part']))}. Rename them."
        )
    if not in_study.all():
        console.say(
            f"`{file}` has scores of {listed(dict.fromkeys(table['part'][~in_study]))} too, which are no "
            f"parts of the study ({listed(parts)}): they are ignored.",
            style="yellow",
        )
    return table[in_study]


def _with_numbers(table: "pd.DataFrame", file: Path) -> "pd.DataFrame":
    """The table with numbers as such.

    Raises:
        ConfigError: If a column is missing, or a value is no number.
    """
    import pandas as pd

    from cellflow_cli.study.table import REFERENCE_COLUMNS

    if missing := [name for name in REFERENCE_COLUMNS if name not in table]:
        raise ConfigError(
            f"Expected the columns {listed(REFERENCE_COLUMNS)} in `{file}`, found no {listed(missing)}."
        )
    for column in [name for name in ("value", "sd") if name in table]:
        numbers = pd.to_numeric(table[column], errors="coerce")
        wrong = table[column][numbers.isna() & table[column].notna()]
        if len(wrong):
            raise ConfigError(
                f"Expected numbers in the column {column} of `{file}`, found {wrong.iloc[0]!r}. Correct it."
            )
        table = table.assign(**{column: numbers})
    return table


def _check_names(table: "pd.DataFrame", file: Path, study: "Study") -> None:
    """Refuse lines without a predictor, or with one of the study.

    Raises:
        ConfigError: Naming them.
    """
    from cellflow_cli.catalog import Catalog

    if table["predictor"].isna().any():
        raise ConfigError(
            f"Expected a name in every line of the column predictor of `{file}`, found none in some."
        )
    own = {*(variant.name for variant in study.variants), *Catalog("baselines").names(), "floor"}
    if taken := [name for name in dict.fromkeys(table["predictor"]) if name in own]:
        raise ConfigError(
            f"Expected other predictors in `{file}` than those of the study, found {listed(taken)}. Rename "
            "them, such as `published fm`."
        )


def publish(
    study: "Study",
    failures: list[dict[str, Any]],
    *,
    against: str,
    reference: "pd.DataFrame | None",
    as_json: bool,
) -> None:
    """Write and show the results of the finished jobs.

    Args:
        study: Some of its jobs are done.
        failures: Jobs that failed, as the JSON shows them.
        against: Predictor that the paired differences are against.
        reference: Published scores to show beside.
        as_json: Print the summary.
    """
    results = write(study, against, failures)
    show(results, study, reference)
    if as_json:
        console.emit_json(results.summary)
    draw(study)


class Results(NamedTuple):
    """All tables of the finished jobs; the summary has them as plain values.

    Attributes:
        scores, means, paired, costs: As `Study.scores` and the functions of `study.table`.
        summary: Content of summary.json.
    """

    scores: "pd.DataFrame"
    means: "pd.DataFrame"
    paired: "pd.DataFrame"
    costs: "pd.DataFrame"
    summary: dict[str, Any]


def write(study: "Study", against: str, failures: list[dict[str, Any]]) -> Results:
    """All tables of the finished jobs, also as files of the study.

    Args:
        study: Some of its jobs are done.
        against: Predictor that the paired differences are against.
        failures: Jobs that failed, as the JSON shows them.
    """
    import json

    from cellflow_cli.files import replaced_file
    from cellflow_cli.study import not_scored, table

    scores, costs = study.scores(), study.costs()
    summary = {
        **table.summary(scores, costs, against, _settings(study, against)),
        "not_scored": not_scored(study.folds),
        "failed": failures,
    }
    results = Results(scores, table.means(scores), table.paired(scores, against), costs, summary)
    texts = [frame.to_csv(index=False) for frame in (results.scores, results.means, results.paired)]
    texts.append(json.dumps(summary, indent=2, ensure_ascii=False, default=str) + "\n")
    for name, text in zip(FILES, texts, strict=True):
        with replaced_file(study.folder / name, force=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return results


def _settings(study: "Study", against: str) -> dict[str, Any]:
    from dataclasses import asdict

    from cellflow_cli.config import to_dict

    return {
        "variants": {variant.name: to_dict(variant.config) for variant in study.variants},
        "folds": {fold.name: {part: list(groups) for part, groups in fold.scored} for fold in study.folds},
        "seeds": list(study.seeds),
        "scoring": asdict(study.scoring),
        "data": [str(path) for path in study.data],
        "against": against,
    }


def draw(study: "Study") -> None:
    """Write the figure of the flows, or say why it cannot be drawn."""
    from cellflow_cli.report.flows import TIMES, PopulationFlow, flow_figure, save_figure
    from cellflow_cli.study.flows import flows

    try:
        populations = [
            PopulationFlow(title=flow.title, source=flow.source, target=flow.target, flows=flow.variants)
            for flow in flows(study, TIMES)
        ]
        save_figure(flow_figure(populations, TIMES), study.folder / "flows", force=True)
    except (CellflowError, MemoryError, OSError, RuntimeError, ValueError) as error:  # tables are written
        console.say(f"No figure of the flows: {error}", style="yellow")
        return
    console.say(f"Figure in {study.folder}: flows.png, flows.svg")


def show(results: Results, study: "Study", reference: "pd.DataFrame | None") -> None:
    """The tables on screen, with a sentence on what is missing in them."""
    means = results.means
    if study.scoring.all_cells:
        means = means[means["predictor"] != "floor"]  # no measured cells are left for it
    _show_means(means, study, reference)
    _show_paired(results, study)
    _show_costs(results.costs)
    for line in means.query("n_missing > 0").to_dict("records"):
        console.say(
            f"{line['predictor']}: no {line['metric']} in {line['n_missing']} conditions of {line['part']}; "
            "see the column `reason` of scores.csv.",
            style="yellow",
        )
    if failed := results.summary["failed"]:
        console.say(
            f"Not in the tables, since they failed: {listed((one['job'] for one in failed), 20)}. The first "
            f"error: {failed[0]['reason']} Means of such variants are over fewer groups or seeds than those "
            "of others; paired differences are over what both predictors have.",
            style="yellow",
        )
    console.say(f"Tables in {study.folder}: {', '.join(FILES)}")


def _show_means(means: "pd.DataFrame", study: "Study", reference: "pd.DataFrame | None") -> None:
    from cellflow_cli.evaluation.evaluate import metric_names
    from cellflow_cli.study import table

    titles, lines = table.layout(means, metric_names(study.scoring), reference)
    n_seeds = len(study.seeds)
    console.show_table(
        f"Mean over held-out groups{'' if n_seeds == 1 else f' ± sd over {n_seeds} seeds'}", titles, lines
    )


def _show_paired(results: Results, study: "Study") -> None:
    variants = {variant.name for variant in study.variants}
    lines = [
        [r["predictor"], r["part"], r["metric"], f"{r['difference']:+.4g} ± {r['sd']:.2g}",
         f"{r['k']} of {r['n']}", str(r["n_conditions"])]
        for r in results.paired.to_dict("records")
        if r["predictor"] in variants
    ]  # fmt: skip
    titles = ["", "part", "metric", "difference ± sd", "better on", "conditions"]
    console.show_table(f"Against {results.summary['settings']['against']}, paired", titles, lines)


def _show_costs(costs: "pd.DataFrame") -> None:
    from cellflow_cli.study import table

    lines = [
        [r["predictor"], f"{r['steps']:.0f}", f"{r['parameters']:.0f}", f"{r['train_s']:.0f}",
         f"{1000 * r['step_s']:.0f}", f"{r['predict_s_per_1000']:.2f}"]
        for r in table.cost_table(costs).to_dict("records")
    ]  # fmt: skip
    titles = ["", "steps", "parameters", "training s", "ms per step", "s per 1,000 cells predicted"]
    console.show_table("Costs, medians over trainings", titles, lines)
