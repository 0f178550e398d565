"""The scores of one evaluation: a tidy table, its summary, and both as files."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from cellflow_cli.errors import OutputError, listed
from cellflow_cli.files import check_writable, replaced_folder
from cellflow_cli.published_metrics import described, find, origin_of
from cellflow_cli.statistics.ablation import ablation
from cellflow_cli.statistics.by_type import TypeScores
from cellflow_cli.statistics.collapse import collapse
from cellflow_cli.statistics.degenerate_ranks import audit
from cellflow_cli.statistics.html import as_html
from cellflow_cli.statistics.intervals import intervals
from cellflow_cli.statistics.lines import DECODED, Lines
from cellflow_cli.statistics.means import better_than, by_group, over_groups
from cellflow_cli.statistics.normalised import normalised
from cellflow_cli.statistics.regimes import regimes

TABLE_FILE = "scores.csv"
TYPE_FILE = "scores_by_type.csv"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class Scores:
    """Every metric of every row of every condition.

    Attributes:
        table: One line per sample, condition, row and metric, with the columns `COLUMNS`. `row` is
            model, the name of a baseline, truth-decoded, floor, `audit:NAME` or one of `ablation.ROWS`;
            `value` is NaN where `reason` says why it could not be computed; `n` is the number of cells on
            either side. A further column `se` holds the standard error of the floor over its splits.
        metrics: Names of the metrics.
        baselines: Names of the baselines.
        by_type: The same for each cell type by itself.
        out_of_range: Share of the values out of range (see `share_outside`), as a table like `table`.
        settings: What the numbers depend on: cells, seed, scaling, features, the model.
        only_predicted: Predicted populations without measured cells.
        only_truth: Measured populations of predicted samples without prediction.
        seen_in_training: Scored groups that the model was trained on.
        warnings: Sentences that belong beside the numbers.
    """

    COLUMNS: ClassVar[list[str]] = [
        "sample",
        "group",
        "treatment",
        "dose",
        "row",
        "metric",
        "value",
        "reason",
        "n",
    ]

    table: pd.DataFrame
    metrics: tuple[str, ...]
    baselines: tuple[str, ...]
    by_type: TypeScores = field(default_factory=TypeScores)
    out_of_range: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=Scores.COLUMNS))
    settings: dict[str, Any] = field(default_factory=dict)
    only_predicted: tuple[str, ...] = ()
    only_truth: tuple[str, ...] = ()
    seen_in_training: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows of every condition, in order; those of audit and ablation are no contestants and left out."""
        decoded = (DECODED,) if (self.table["row"] == DECODED).any() else ()
        return ("model", *self.baselines, *decoded, "floor")

    @cached_property
    def judged(self) -> "Scores":
        """The part about groups that training never saw; all of it if it saw all of them, or none."""
        seen = set(self.seen_in_training)
        unseen = self.table[~self.table["group"].isin(seen)]
        if not seen or unseen.empty:
            return self
        types = self.by_type
        if not types.table.empty:
            types = replace(types, table=types.table[~types.table["group"].isin(seen)])
        outside = self.out_of_range[~self.out_of_range["group"].isin(seen)]
        return replace(self, table=unseen, by_type=types, out_of_range=outside, seen_in_training=())

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that `save` writes."""
        return (TABLE_FILE, *(() if self.by_type.table.empty else (TYPE_FILE,)), SUMMARY_FILE)

    @property
    def unmatched(self) -> dict[str, list[str]]:
        """Populations that are in one of the files only."""
        return {"only_predicted": list(self.only_predicted), "only_truth": list(self.only_truth)}

    def summary(self) -> dict[str, Any]:
        """Means over conditions within a group, then over groups; plain values for JSON.

        Everything is about the groups that training never saw; where it saw all, about those.

        Returns:
            rows: For each row and metric `mean`, `sd` over groups (None below two), `n_groups`,
                and `n_missing`, the conditions without a value, with the first `reason`.
            better_than: For each baseline and metric, on `k` of `n` groups the model is better,
                over the conditions where both have a value.
            intervals: For each baseline and metric the difference model minus baseline, with a
                bootstrap interval over groups (see `intervals`).
            normalised: For the model, each baseline and metric the way from the null to the floor
                that is covered (see `normalised`).
            regimes: Means by size of the real effect (see `regimes`).
            collapse: Variance of predicted over measured cells (see `collapse`).
            ablation: Whether it matters whose population the model is told (see `ablation`).
            audit: Which metrics rank a degenerate predictor first (see `audit`).
            cell_types: The means of each cell type by itself (see `TypeScores.summary`).
            groups: For each group, row and metric the mean over its conditions.
            seen_groups: The same for groups that training saw and that are left out of all the rest.
            metrics: For each metric its definition, best value, space, and the project that it is
                reproduced from (None for ours).
            settings, unmatched, seen_in_training, warnings: As in the attributes; n_conditions.
        """
        return self._summary

    @cached_property
    def _summary(self) -> dict[str, Any]:
        entries = {name: find(name) for name in self.metrics}
        definitions = described(self.metrics)
        best = {name: entry.best for name, entry in entries.items()}
        table, seed = self.judged.table, int(self.settings.get("seed", 0))
        lines, left_out = Lines(table), self.table[~self.table["group"].isin(table["group"])]
        return {
            "rows": over_groups(lines, self.rows, self.metrics),
            "better_than": {name: better_than(lines, name, best) for name in self.baselines},
            "intervals": {name: intervals(lines, name, best, seed) for name in self.baselines},
            "normalised": normalised(
                lines,
                [row for row in self.rows if row != "floor"],
                best,
                self.settings.get("floor_splits", 1),
            ),
            "regimes": regimes(lines, self.rows, self.metrics),
            "ablation": ablation(lines, best, seed),
            "collapse": collapse(
                lines,
                self.settings.get("prediction", {}).get("fraction_clipped"),
                Lines(self.judged.out_of_range),
            ),
            "audit": audit(lines, best),
            "cell_types": self.judged.by_type.summary(self.rows),
            "groups": by_group(lines, self.rows, self.metrics),
            "seen_groups": by_group(Lines(left_out), self.rows, self.metrics),
            "metrics": {
                name: {
                    "definition": definitions[name],
                    "best": entry.best,
                    "space": entry.space,
                    "origin": origin_of(name),
                }
                for name, entry in entries.items()
            },
            "n_conditions": len(table[["sample", "treatment", "dose"]].drop_duplicates()),
            "n_cells": {"min": int(table["n"].min()), "max": int(table["n"].max())},
            "settings": self.settings,
            "unmatched": self.unmatched,
            "seen_in_training": list(self.seen_in_training),
            "warnings": list(self.warnings),
        }

    def _repr_html_(self) -> str:
        """Means over groups as a table, for notebooks."""
        return as_html(self.summary())

    def missing(self, metrics: Sequence[str]) -> pd.DataFrame:
        """Lines of the model's row where one of the `metrics` could not be computed."""
        model = self.table[(self.table["row"] == "model") & self.table["metric"].isin(list(metrics))]
        return model[model["value"].isna()]

    def save(
        self,
        folder: Path,
        force: bool = False,
        further: Mapping[str, bytes] | None = None,
        holds: Collection[str] = (),
    ) -> None:
        """Write the tables of scores and `summary.json` into a new folder; it appears whole or not at all.

        Args:
            folder: Where to; folders above it are made.
            force: Replace a report that is already there.
            further: Content of other files of the folder, by name.
            holds: Names of all other files that a report which is replaced may hold.

        Raises:
            OutputError: If the folder exists and `force` is off, if it holds other things than a
                report, or if it cannot be written.
        """
        further = further or {}
        check_report(Path(folder), force=force, holds={*further, *holds})
        summary = json.dumps(self.summary(), indent=2, ensure_ascii=False, allow_nan=False)
        with replaced_folder(Path(folder), force=force) as temporary:
            self.table.to_csv(temporary / TABLE_FILE, index=False)
            if TYPE_FILE in self.files:
                self.by_type.table.to_csv(temporary / TYPE_FILE, index=False)
            (temporary / SUMMARY_FILE).write_text(f"{summary}\n", encoding="utf-8")
            for name, content in further.items():
                (temporary / name).write_bytes(content)


def check_report(folder: Path, *, force: bool, holds: Collection[str] = ()) -> None:
    """Whether a report may be written to `folder`, asked before the work and not after it.

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
    known = {TABLE_FILE, SUMMARY_FILE, TYPE_FILE, *holds}
    foreign = sorted(path.name for path in folder.glob("*") if path.name not in known)
    if foreign:
        raise OutputError(
            f"Expected `{folder}` to be a report that `--force` may replace, found {listed(foreign)} in it. "
            "Nothing was changed. Choose another `--output`."
        )
