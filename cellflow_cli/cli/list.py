"""`cellflow list`: what exists to choose from, one line each."""

from typing import Annotated

import typer

from cellflow_cli.catalog import Catalog, rooms
from cellflow_cli.cli import console
from cellflow_cli.cli._command import command
from cellflow_cli.cli._options import Json
from cellflow_cli.errors import ConfigError, nearest

ROOMS = {room.replace("_", "-"): room for room in rooms()}


@command
def list_entries(
    what: Annotated[
        str | None, typer.Argument(metavar="[" + "|".join(ROOMS) + "]", help="Which kind; default: all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what can be named: methods, metrics, embedders, baselines and so on.

    `published-metrics` are metrics as other projects define them; named alone, each of them is listed.
    """
    if what is not None and what not in ROOMS:
        raise ConfigError(f"Expected one of {', '.join(ROOMS)}, found {what!r}.{nearest(what, ROOMS)}")
    summaries = {name: Catalog(room).summaries() for name, room in ROOMS.items() if what in (None, name)}
    if what == "published-metrics":
        summaries[what] = _with_metrics(summaries[what])
    if as_json:
        console.emit_json(summaries if what is None else summaries[what])
        return
    for room, entries in summaries.items():
        console.say_out(room if what is None else "", bold=True)
        width = max((len(name) for name in entries), default=0)
        for name, line in entries.items():
            console.say_out(f"  {name:<{width}}  {line}")


def _with_metrics(projects: dict[str, str]) -> dict[str, str]:
    """Each project, followed by its metrics."""
    from cellflow_cli.published_metrics import described, metrics_of

    entries: dict[str, str] = {}
    for project, line in projects.items():
        entries |= {project: line, **described(metrics_of(project))}
    return entries
