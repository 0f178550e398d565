"""`cellflow list`: what exists to choose from, one line each."""

from typing import Annotated

import typer

from cellflow_cli.cli import console
from cellflow_cli.cli._options import Json
from cellflow_cli.errors import ConfigError, nearest

ROOMS = ("methods", "metrics", "couplings", "embedders", "conditions", "baselines", "audit")


def list_entries(
    what: Annotated[
        str | None, typer.Argument(metavar="[" + "|".join(ROOMS) + "]", help="Which kind; default: all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List methods, metrics, couplings, embedders, condition encoders, baselines or degenerate predictors."""
    from cellflow_cli.catalog import Catalog

    if what is not None and what not in ROOMS:
        raise ConfigError(f"Expected one of {', '.join(ROOMS)}, found {what!r}.{nearest(what, ROOMS)}")
    found = {room: Catalog(room).summaries() for room in ROOMS if what in (None, room)}
    if as_json:
        console.emit_json(found if what is None else found[what])
        return
    for room, entries in found.items():
        console.say_out(room if what is None else "", bold=True)
        width = max((len(name) for name in entries), default=0)
        for name, line in entries.items():
            console.say_out(f"  {name:<{width}}  {line}")
