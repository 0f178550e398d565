"""Findings about data on the screen, the same in every command that looks at them before training."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cellflow_cli.cli.console import say
from cellflow_cli.errors import DataError

if TYPE_CHECKING:
    from cellflow_cli.data.schema import DataSpec
    from cellflow_cli.data.validation.finding import Finding

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def show_findings(findings: "Sequence[Finding]") -> None:
    """All findings and a verdict."""
    _show(findings)
    n_errors = sum(finding.level == "error" for finding in findings)
    n_warnings = sum(finding.level == "warning" for finding in findings)
    verdict = "Training would stop" if n_errors else "Training can start"
    say(f"{verdict}: {n_errors} error(s), {n_warnings} warning(s).", style="red" if n_errors else "green")


def checked(data: Sequence[Path], spec: "DataSpec", seed: int) -> "tuple[Finding, ...]":
    """What `cellflow check` finds, shown.

    Args:
        data: Files to be trained on.
        spec: What their columns mean.
        seed: Of the run.

    Raises:
        DataError: Where training would stop: the error itself, or that there are several, all of them shown.
    """
    from cellflow_cli.data.validation.check import check

    findings = check(data, spec, seed).findings
    errors = [finding for finding in findings if finding.level == "error"]
    _show([finding for finding in findings if len(errors) != 1 or finding is not errors[0]])
    if len(errors) == 1:
        raise errors[0].error()
    if errors:
        raise DataError(
            f"Expected data that can be trained on, found {len(errors)} errors, all shown above. Correct "
            "them; `cellflow check` with the same options looks for them without training."
        )
    return findings


def _show(findings: "Sequence[Finding]") -> None:
    for finding in findings:
        say(f"{finding.level}: {finding.what}", style=_STYLES[finding.level])
        if finding.fix:
            say(f"    {finding.fix}")


def as_plain(findings: "Sequence[Finding]") -> list[dict[str, str]]:
    """Findings for JSON."""
    return [{"level": f.level, "what": f.what, "fix": f.fix} for f in findings]
