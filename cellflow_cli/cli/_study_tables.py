"""The tables and the figure of a comparison: made of its finished jobs, written, shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellflow_cli.cli import console
from cellflow_cli.errors import CellflowError, ConfigError, listed

if TYPE_CHECKING:
    from cellflow_cli.study import Study

FILES = ("scores.csv", "means.csv", "paired.csv", "summary.json")


def read_reference(file: Path, study: "Study") -> Any:
    """Rows from elsewhere, checked before anything is trained.

    Raises:
        ConfigError: If the file is no table with the columns predictor, part, metric and value, if a
            value is no number, if a row has the name of one of the study, or a part is none of the study.
    """
    import pandas as pd

    from cellflow_cli.catalog import Catalog
    from cellflow_cli.study.table import REFERENCE_COLUMNS

    try:
        table = pd.read_csv(file, comment="#")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Expected a CSV file at `{file}`, found: {error}. Choose with `--reference`."
        ) from error
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
    if table["predictor"].isna().any():
        raise ConfigError(
            f"Expected a name in every line of the column predictor of `{file}`, found none in some."
        )
    own = {*(variant.name for variant in study.variants), *Catalog("baselines").names(), "floor"}
    if taken := [name for name in dict.fromkeys(table["predictor"]) if name in own]:
        raise ConfigError(
            f"Expected names of their own for the rows of `{file}`, found {listed(taken)}, which the "
            "study has too. Rename them, such as `published fm`."
        )
    parts = {part for fold in study.folds for part, _ in fold.scored}
    known = table["part"].isin(parts)
    if not known.any():
        raise ConfigError(
            f"Expected parts of the study ({listed(parts)}) in the column part of `{file}`, found "
            f"{listed(dict.fromkeys(table['part']))}. Rename them."
        )
    if not known.all():
        console.say(
            f"`{file}` has rows of {listed(dict.fromkeys(table['part'][~known]))} too, which are no parts of "
            f"the study ({listed(parts)}): they are left out.",
            style="yellow",
        )
    return table[known]


def write(study: "Study", against: str, reference: Any, failures: list[dict[str, Any]]) -> dict[str, Any]:
    """All tables of the finished jobs, as files of the study and as a mapping.

    Args:
        study: Some of its jobs are done.
        against: Row that the paired differences are against.
        reference: Rows from elsewhere, or None.
        failures: Jobs that failed, as the JSON shows them.
    """
    import json
    from dataclasses import asdict

    from cellflow_cli.config import to_dict
    from cellflow_cli.files import replaced_file
    from cellflow_cli.study import not_scored, table

    scores, costs = study.scores(), study.costs()
    means = table.means(scores)
    settings = {
        "variants": {variant.name: to_dict(variant.config) for variant in study.variants},
        "folds": {fold.name: {part: list(groups) for part, groups in fold.scored} for fold in study.folds},
        "seeds": list(study.seeds),
        "measure": asdict(study.measure),
        "data": [str(path) for path in study.data],
        "against": against,
    }
    summary = {
        **table.summary(scores, costs, against, settings),
        "not_scored": not_scored(study.folds),
        "failed": failures,
    }
    paired = table.paired(scores, against)
    for name, content in (
        ("scores.csv", scores.to_csv(index=False)),
        ("means.csv", means.to_csv(index=False)),
        ("paired.csv", paired.to_csv(index=False)),
        ("summary.json", json.dumps(summary, indent=2, ensure_ascii=False, default=str) + "\n"),
    ):
        with replaced_file(study.folder / name, force=True) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return {"scores": scores, "means": means, "paired": paired, "costs": costs, "summary": summary}


def draw(study: "Study") -> None:
    """Write the figure of the flows, or say why it cannot be drawn."""
    from cellflow_cli.report.flow_figure import TIMES, PopulationFlow, flow_figure, save_figure
    from cellflow_cli.study.flows import flows

    try:
        drawn = [
            PopulationFlow(title=flow.title, source=flow.source, target=flow.target, flows=flow.variants)
            for flow in flows(study, TIMES)
        ]
        save_figure(flow_figure(drawn, TIMES), study.folder / "flows", force=True)
    except CellflowError as error:
        console.say(f"No figure of the flows: {error}", style="yellow")
        return
    console.say(f"Figure in {study.folder}: flows.png, flows.svg")


def show(found: dict[str, Any], study: "Study", reference: Any) -> None:
    """The tables on screen, with a sentence on what is missing in them."""
    from cellflow_cli.study import table

    means = found["means"]
    if study.measure.all_cells:
        means = means[means["predictor"] != "floor"]  # no measured cells are left for it
    titles, lines = table.layout(means, study.measure.metrics, reference)
    n_seeds = len(study.seeds)
    console.show_table(
        f"Mean over held-out groups{'' if n_seeds == 1 else f' ± sd over {n_seeds} seeds'}", titles, lines
    )
    own = {variant.name for variant in study.variants}
    lines = [
        [r["predictor"], r["part"], r["metric"], f"{r['difference']:+.4g} ± {r['sd']:.2g}",
         f"{r['k']} of {r['n']}", str(r["n_conditions"])]
        for r in found["paired"].to_dict("records")
        if r["predictor"] in own
    ]  # fmt: skip
    against = found["summary"]["settings"]["against"]
    console.show_table(
        f"Against {against}, paired",
        ["", "part", "metric", "difference ± sd", "better on", "conditions"],
        lines,
    )
    costs = table.cost_table(found["costs"])
    lines = [
        [r["predictor"], f"{r['steps']:.0f}", f"{r['parameters']:.0f}", f"{r['train_s']:.0f}",
         f"{1000 * r['step_s']:.0f}", f"{r['predict_s_per_1000']:.2f}"]
        for r in costs.to_dict("records")
    ]  # fmt: skip
    console.show_table(
        "Costs, medians over trainings",
        ["", "steps", "parameters", "training s", "ms per step", "s per 1,000 cells predicted"],
        lines,
    )
    for row in means.query("n_missing > 0").to_dict("records"):
        console.say(
            f"{row['predictor']}: no {row['metric']} in {row['n_missing']} conditions of {row['part']}; see "
            "the column `reason` of scores.csv.",
            style="yellow",
        )
    if failed := found["summary"]["failed"]:
        console.say(
            f"Not in the tables, since they failed: {listed((one['job'] for one in failed), 20)}. The first "
            f"said: {failed[0]['reason']} Means of such rows are over fewer groups or seeds than others; "
            "paired differences are over what both rows have.",
            style="yellow",
        )
    console.say(f"Tables in {study.folder}: {', '.join(FILES)}")
