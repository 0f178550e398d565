"""`cellflow check`: validate data before training on them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from cellflow_cli.cli import _options as options
from cellflow_cli.cli.console import emit_json, say, show_table

if TYPE_CHECKING:
    from cellflow_cli.data.validation.check import CheckReport

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def check(
    data: options.Data,
    treatment_key: options.TreatmentKey = None,
    control: options.Control = None,
    sample_key: options.SampleKey = None,
    group_key: options.GroupKey = None,
    match_key: options.MatchKey = None,
    batch_key: options.BatchKey = None,
    dose_key: options.DoseKey = None,
    dose_unit: options.DoseUnit = None,
    cell_type_key: options.CellTypeKey = None,
    covariate_key: options.CovariateKey = None,
    pairs_key: options.PairsKey = None,
    features: options.Features = None,
    expression: options.Expression = None,
    holdout: options.HoldoutOption = None,
    split_key: options.SplitKey = None,
    min_cells: options.MinCells = None,
    drop_small: options.DropSmall = None,
    drop_unpaired: options.DropUnpaired = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Validate data: what they hold, what would stop training, and the option that fixes it.

    Ends with exit code 0 where training can start, 3 where a finding stops it.
    """
    settings = options.data_settings(locals())
    report = _checked(data, settings, seed)
    if as_json:
        emit_json(_as_json(report))
    else:
        _show(report)
    if report.stops:
        raise typer.Exit(3)


def _checked(data: options.Data, settings: Mapping[str, Any], seed: int) -> "CheckReport":
    """A whole check, or what can be said where a required setting was not given."""
    from cellflow_cli.data.schema import DataSpec
    from cellflow_cli.data.validation.check import check as check_files
    from cellflow_cli.data.validation.check import check_unfinished

    required = ("treatment_key", "control", "sample_key")
    if all(settings.get(name) for name in required):
        return check_files(data, DataSpec(**settings), seed)
    partial = ("features", "expression")
    return check_unfinished(
        data, **{name: settings[name] for name in (*required, *partial) if name in settings}
    )


def _as_json(report: "CheckReport") -> dict[str, Any]:
    return {
        "ok": not report.stops,
        "overview": report.overview,
        "populations": list(report.populations),
        "findings": [{"level": f.level, "what": f.what, "fix": f.fix} for f in report.findings],
    }


def _show(report: "CheckReport") -> None:
    for name, text in _overview_lines(report.overview):
        say(f"{name:<12}{text}")
    if report.populations:
        _show_populations(report)
    for finding in report.findings:
        say(f"{finding.level}: {finding.what}", style=_STYLES[finding.level])
        if finding.fix:
            say(f"    {finding.fix}")
    n_errors = sum(finding.level == "error" for finding in report.findings)
    n_warnings = sum(finding.level == "warning" for finding in report.findings)
    verdict = "Training would stop" if n_errors else "Training can start"
    say(f"{verdict}: {n_errors} error(s), {n_warnings} warning(s).", style="red" if n_errors else "green")


def _overview_lines(overview: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The overview as (name, text) lines; empty where no file could be read."""
    if not overview:
        return []
    lines = [
        ("files", ", ".join(overview["files"])),
        ("cells", f"{overview['cells']:,}"),
        ("features", f"{overview['features_of_flow']:,} of {overview['features_in_file']:,} in the data"),
    ]
    if "groups" in overview:
        split = overview["split"]
        lines += [
            ("groups", f"{overview['groups']} ({overview['samples']} samples)"),
            ("treatments", ", ".join(overview["conditions"])),
            ("train", f"{len(split['train'])} groups"),
            *((name, ", ".join(split[name])) for name in ("val", "test") if split[name]),
        ]
    if "memory_gib" in overview:
        lines.append(("estimate", _estimate_text(overview)))
    return lines


def _estimate_text(overview: Mapping[str, Any]) -> str:
    return (
        f"{overview['memory_gib']} GiB memory; {overview['prepare_seconds']:.0f} s to prepare, about "
        f"{overview['seconds_per_1000_steps'] / 60:.1f} min per 1,000 training steps on two CPU cores"
    )


def _show_populations(report: "CheckReport") -> None:
    """One line per condition: how many populations there are and how large they are."""
    sizes: dict[str, list[int]] = {}
    for row in report.populations:
        dose = "" if row["dose"] is None else f" {row['dose']:g}"
        sizes.setdefault(
            "control" if row["condition"] == "control" else f"{row['treatment']}{dose}", []
        ).append(row["cells"])
    rows = [
        (name, len(cells), sum(cells), min(cells), sorted(cells)[len(cells) // 2], max(cells))
        for name, cells in sizes.items()
    ]
    show_table("Populations", ("condition", "populations", "cells", "smallest", "median", "largest"), rows)
