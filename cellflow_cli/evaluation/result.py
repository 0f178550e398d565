"""The scores of one evaluation: a tidy table, its summary, and both as files."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import pandas as pd

from cellflow_cli.errors import OutputError, listed
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.files import check_writable, replaced_folder
from cellflow_cli.statistics.by_type import TypeScores
from cellflow_cli.statistics.html import as_html
from cellflow_cli.statistics.lines import COLUMNS, MODEL
from cellflow_cli.statistics.summary import Settings, Summary, Tables, Unmatched, predictors_of, summary_of

TABLE_FILE = "scores.csv"
TYPE_FILE = "scores_by_type.csv"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class Scores:
    """Every metric of every predictor of every condition.

    Attributes:
        table: One line per sample, condition, predictor and metric, with the columns `COLUMNS`. `predictor`
            is model, the name of a baseline, truth-decoded, floor, `audit:NAME` or one of
            `ablation.PREDICTORS`; `value` is NaN where `reason` says why it could not be computed; `n` is the
            number of cells on either side. A further column `se` holds the standard error of the floor over
            its splits.
        metrics: Names of the metrics.
        baselines: Names of the baselines.
        by_type: The same for each cell type by itself.
        out_of_range: Share of the values out of range (see `share_outside`), as a table like `table`.
        config: What was requested.
        settings: What the numbers depend on: cells, seed, scaling, features, the model.
        unmatched: Populations that are in one of the files only.
        seen_in_training: Scored groups that the model was trained on.
        warnings: Sentences that belong beside the numbers.
    """

    COLUMNS: ClassVar[list[str]] = list(COLUMNS)

    table: pd.DataFrame
    metrics: tuple[str, ...]
    baselines: tuple[str, ...]
    by_type: TypeScores = field(default_factory=TypeScores)
    out_of_range: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=Scores.COLUMNS))
    config: EvaluationConfig = field(default_factory=EvaluationConfig)
    settings: Settings = field(default_factory=Settings)
    unmatched: Unmatched = field(default_factory=Unmatched)
    seen_in_training: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def predictors(self) -> tuple[str, ...]:
        """Predictors of every condition, in order; those of audit and ablation are left out."""
        return predictors_of(self.table, self.baselines)

    @cached_property
    def unseen(self) -> "Scores":
        """The part about groups that training never saw; all of it if it saw all of them, or none."""
        tables = self._tables.without(self.seen_in_training)
        if tables is self._tables:
            return self
        return replace(
            self,
            table=tables.scores,
            by_type=tables.by_type,
            out_of_range=tables.out_of_range,
            seen_in_training=(),
        )

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that `save` writes."""
        return (TABLE_FILE, *(() if self.by_type.table.empty else (TYPE_FILE,)), SUMMARY_FILE)

    def summary(self) -> Summary:
        """Means over conditions within a group, then over groups, and what they say.

        Everything is about the groups that training never saw; where it saw all, about those.
        """
        return self._summary

    @cached_property
    def _tables(self) -> Tables:
        return Tables(scores=self.table, by_type=self.by_type, out_of_range=self.out_of_range)

    @cached_property
    def _summary(self) -> Summary:
        return summary_of(
            self._tables,
            metrics=self.metrics,
            baselines=self.baselines,
            settings=self.settings,
            seen_in_training=self.seen_in_training,
            unmatched=self.unmatched,
            warnings=self.warnings,
        )

    def _repr_html_(self) -> str:
        """Means over groups as a table, for notebooks."""
        return as_html(self.summary())

    def missing(self, metrics: Sequence[str]) -> pd.DataFrame:
        """Lines of the model where one of the `metrics` could not be computed."""
        model = self.table[(self.table["predictor"] == MODEL) & self.table["metric"].isin(list(metrics))]
        return model[model["value"].isna()]

    def save(
        self,
        folder: Path,
        force: bool = False,
        pages: Mapping[str, bytes] | None = None,
        holds: Collection[str] = (),
    ) -> None:
        """Write the tables of scores and `summary.json` into a new folder; it appears whole or not at all.

        Args:
            folder: Where to; folders above it are made.
            force: Replace a report that is already there.
            pages: Content of other files of the folder, by name.
            holds: Names of all other files that a report which is replaced may hold.

        Raises:
            OutputError: If the folder exists and `force` is off, if it holds other things than a
                report, or if it cannot be written.
        """
        pages = pages or {}
        check_report(Path(folder), force=force, holds={*pages, *holds})
        summary = json.dumps(self.summary().to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        with replaced_folder(Path(folder), force=force) as temporary:
            self.table.to_csv(temporary / TABLE_FILE, index=False)
            if TYPE_FILE in self.files:
                self.by_type.table.to_csv(temporary / TYPE_FILE, index=False)
            (temporary / SUMMARY_FILE).write_text(f"{summary}\n", encoding="utf-8")
            for name, content in pages.items():
                (temporary / name).write_bytes(content)


def check_report(folder: Path, *, force: bool, holds: Collection[str] = ()) -> None:
    """Whether a report may be written to `folder`, checked before the work and not after it.

    Args:
        folder: Where to.
        force: Whether a report that is there may be replaced.
        holds: Names of files that it may hold besides the table and the summary.

    Raises:
        OutputError: If it exists and `force` is off, if it cannot be written, or if it is not a report
            and replacing it would delete something else.
    """
    check_writable(folder, force=force)
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"Expected a folder for the report, found the file `{folder}`. Choose another `--output`."
        )
    own = {TABLE_FILE, SUMMARY_FILE, TYPE_FILE, *holds}
    others = sorted(path.name for path in folder.glob("*") if path.name not in own)
    if others:
        raise OutputError(
            f"Expected `{folder}` to be a report that `--force` may replace, found {listed(others)} in it. "
            "Nothing was changed. Choose another `--output`."
        )
