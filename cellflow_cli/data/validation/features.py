"""Advice on which features to use."""

from collections.abc import Sequence

from cellflow_cli.data.choice import no_markers
from cellflow_cli.data.expression import likeness
from cellflow_cli.data.feature_source import Matrix
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import listed


def components_options(features: str, kind: str, at: Matrix) -> str:
    """The options that take components of the matrix, as far as its values tell what they are."""
    layer = "" if at.slot == "X" else f" --layer {at.layer}"
    known = {"counts": "counts", "log1p": "log1p", "scaled": "as-is"}.get(kind)
    if known:
        return f"`--features {features}{layer} --expression {known}` (looks like {likeness(kind)})"
    return f"`--features {features}{layer}` and `--expression counts`, `log1p` or `as-is` (say which)"


def channel_findings(names: Sequence[str]) -> list[Finding]:
    """A warning about channels that measure no marker."""
    channels = no_markers(names)
    if not channels or len(channels) == len(names):
        return []
    what = f"Expected markers or genes, found {len(channels)} that look like none: {listed(channels)}."
    commas = any("," in name for name in channels)
    options = (
        " ".join(f"--drop-features '{n}'" for n in channels)
        if commas
        else (f"--drop-features '{','.join(channels)}'")
    )
    return [Finding("warning", what, f"Leave them out with `{options}`.")]
