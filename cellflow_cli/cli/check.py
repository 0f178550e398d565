"""`cellflow check`: validate data before training on them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import OptionsOf
from cellflow_cli.cli._findings import as_plain, show_findings
from cellflow_cli.cli.console import emit_json, say, show_table
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.flags import flags_of

if TYPE_CHECKING:
    from cellflow_cli.data.validation.check import CheckReport


@command
def check(
    data: opt.Data,
    spec: Annotated[dict[str, Any], OptionsOf(DataSpec, given=True, needed=False)],
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Validate data: what they hold, what would stop training, and the option that fixes it.

    Ends with exit code 0 where training can start, 3 where a finding stops it.
    """
    report = _checked(data, spec, seed)
    if as_json:
        emit_json(_as_json(report))
    else:
        _show(report)
    if report.stops:
        raise typer.Exit(3)


def _checked(data: Sequence[Path], given: Mapping[str, Any], seed: int) -> "CheckReport":
    """A whole check, or what can be said where a required setting was not given."""
    from cellflow_cli.data.validation.check import check as check_files
    from cellflow_cli.data.validation.check import check_unfinished

    given = opt.with_sample_key(given)
    required = [flag.name for flag in flags_of(DataSpec) if flag.required]
    if all(name in given for name in required):
        return check_files(data, DataSpec(**given), seed)
    known = (*required, "features", "expression", "layer")
    return check_unfinished(data, **{name: given[name] for name in known if name in given})


def _as_json(report: "CheckReport") -> dict[str, Any]:
    return {
        "ok": not report.stops,
        "overview": report.overview,
        "populations": list(report.populations),
        "findings": as_plain(report.findings),
    }


def _show(report: "CheckReport") -> None:
    for name, text in _overview_lines(report.overview):
        say(f"{name:<12}{text}")
    if report.populations:
        _show_populations(report)
    show_findings(report.findings)


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
