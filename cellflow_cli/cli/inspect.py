"""`cellflow inspect`: what a model is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellflow_cli.cli import console
from cellflow_cli.cli._command import command
from cellflow_cli.cli._options import Json

if TYPE_CHECKING:
    from cellflow_cli.model import Model


@command
def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder of `cellflow train`.")],
    as_json: Json = False,
) -> None:
    """Show what a model learned from, what it predicts, and how it was made."""
    from cellflow_cli.model import load

    facts = describe(load(model))
    if as_json:
        console.emit_json(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        console.say_out(f"{name.replace('_', ' '):<{width}}  {_text(value)}")


def describe(model: "Model") -> dict[str, Any]:
    """The facts of a model as plain values."""
    from cellflow_cli.config import to_dict

    spec, transform, run = model.config.data, model.transform, model.run
    return {
        "model_id": model.id,
        "method": to_dict(model.config.method),
        "treatments": [condition.label for condition in model.conditions],
        "dose_unit": spec.dose_unit if spec.dose_key else None,
        "features": {"kind": transform.kind, "n": transform.n_features, "names": list(transform.names)},
        "genes": {"n": len(transform.genes), "names": list(transform.genes)},
        "columns": {name: value for name, value in to_dict(spec).items() if value not in (None, [], False)},
        "trained_on": list(model.split.train),
        "validated_on": list(model.split.val),
        "held_out": list(model.split.test),
        "cell_types": list(model.vocabulary.cell_types),
        "training": to_dict(model.config.training),
        **{name: value for name, value in run.items() if name != "model_id"},
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        shown = ", ".join(str(item) for item in value[:8])
        return shown + (f" and {len(value) - 8} more" if len(value) > 8 else "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
