"""Options that tell `evaluate` what a prediction of another tool does not say of itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.errors import ConfigError

if TYPE_CHECKING:
    import anndata

    from cellflow_cli.data.schema import DataSpec

PANEL = "Predictions of other tools"


def _option(name: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(name, help=text, metavar=metavar, show_default=False, rich_help_panel=PANEL)


TreatmentKey = Annotated[str | None, opt.data_option("treatment_key", PANEL)]
Control = Annotated[list[str] | None, opt.data_option("control", PANEL)]
SampleKey = Annotated[list[str] | None, opt.data_option("sample_key", PANEL)]
GroupKey = Annotated[str | None, opt.data_option("group_key", PANEL)]
BatchKey = Annotated[str | None, opt.data_option("batch_key", PANEL)]
DoseKey = Annotated[str | None, opt.data_option("dose_key", PANEL)]
CellTypeKey = Annotated[str | None, opt.data_option("cell_type_key", PANEL)]
Features = Annotated[str | None, opt.data_option("features", PANEL)]
Expression = Annotated[str | None, opt.data_option("expression", PANEL)]
PredictedIn = Annotated[
    str | None,
    _option("--predicted-in", "Where PRED holds the predicted cells; default: X.", "X|layers/NAME|obsm/NAME"),
]
PredictedExpression = Annotated[
    str | None,
    _option(
        "--predicted-expression",
        "What they hold, where it is not what TRUTH holds: log1p against counts, or counts that are expected "
        "ones with fractions.",
        "counts|log1p|as-is",
    ),
]
PredictedObs = Annotated[
    list[str] | None,
    _option(
        "--predicted-obs",
        "Value that all predicted cells share, such as treatment=5-FU, where the column is missing or "
        "still says control; repeatable.",
        "COLUMN=VALUE",
    ),
]
Rename = Annotated[
    list[str] | None,
    _option("--rename", "Read column OLD of PRED as NEW, its name in TRUTH; repeatable.", "NEW=OLD"),
]
AssumeFeatureOrder = Annotated[
    bool,
    _option(
        "--assume-feature-order",
        "PRED lost its feature names: its columns are the features of TRUTH in their order.",
    ),
]
SharedFeatures = Annotated[
    bool, _option("--shared-features", "Leave out features of TRUTH that PRED does not have.")
]
Training = Annotated[
    list[Path] | None,
    _option("--training", "Cells that the tool was trained on, for the baselines; repeatable.", "DATA"),
]
HoldoutOption = Annotated[
    list[str] | None,
    _option("--holdout", "What of --training the tool never saw.", "COLUMN=VALUE,..|FRACTION"),
]
_CONVENTIONS = {
    "predicted_in": "matrix",
    "predicted_expression": "expression",
    "predicted_obs": "obs",
    "rename": "rename",
    "assume_feature_order": "assume_feature_order",
    "shared_features": "shared_features",
}


def given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options above that were given, by the names of the command's arguments."""
    told = {name: arguments[name] for name in (*_CONVENTIONS, "training") if arguments[name]}
    return {**opt.data_settings(arguments), **told}


def words(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The options as they are typed."""
    found: list[str] = []
    for name, value in options.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            found += [f"--{name.replace('_', '-')}", *([] if one is True else [str(one)])]
    return tuple(found)


def refuse(options: Mapping[str, Any], spec: "DataSpec", who: str = "PRED") -> None:
    """Refuse options that contradict a prediction, or a model, which says all of this itself.

    Raises:
        ConfigError: Naming the first of them.
    """
    for name, value in options.items():
        if not hasattr(spec, name):
            found = ", which was written by `cellflow predict`, says itself what it holds"
        elif getattr(spec, name) != value:
            found = f" says {getattr(spec, name)!r}, as the model was trained"
        else:
            continue
        raise ConfigError(
            f"Expected no `{' '.join(words({name: value}))}`: {who}{found}. Leave the option out; it is for "
            "predictions of other tools that nothing else describes."
        )


def adopted(
    predicted: "anndata.AnnData", truth: Path, model: Path | None, options: Mapping[str, Any], seed: int
) -> tuple["anndata.AnnData", "anndata.AnnData"]:
    """A prediction of another tool as one of ours, and the truth.

    Raises:
        ConfigError, DataError: If something was not told, or does not fit.
        BundleError: If the model folder is none.
    """
    from cellflow_cli.data.read import read
    from cellflow_cli.external.external_format import Conventions
    from cellflow_cli.external.read import adopt

    parts: dict[str, Any] = {}
    if model is not None:
        spec, parts = _model_parts(model, options)
    else:
        spec = _spec(options, predicted)
    told = {field: options[name] for name, field in _CONVENTIONS.items() if name in options}
    for name in ("obs", "rename"):
        told[name] = opt.pairs("--predicted-obs" if name == "obs" else "--rename", told.get(name, []))
    measured = read([truth], features=spec.features)
    training = read(options["training"], features=spec.features) if "training" in options else None
    made = adopt(predicted, measured, spec, Conventions(**told), training=training, seed=seed, **parts)
    return made, measured


def _model_parts(folder: Path, options: Mapping[str, Any]) -> tuple["DataSpec", dict[str, Any]]:
    """What the model knows of the data; it has the last word on what the columns mean."""
    from cellflow_cli.model import load

    if "training" in options:
        raise ConfigError("Expected either `--model` or `--training`, found both. Leave one out.")
    model = load(folder)
    spec = model.config.data
    refuse({name: value for name, value in options.items() if hasattr(spec, name)}, spec, "the model")
    return spec, {"transform": model.transform, "summaries": model.summaries}


def _spec(options: Mapping[str, Any], predicted: "anndata.AnnData") -> "DataSpec":
    from cellflow_cli.data.columns import where
    from cellflow_cli.data.schema import DataSpec

    needed = ("treatment_key", "control", "sample_key")
    missing = [f"`--{name.replace('_', '-')}`" for name in needed if name not in options]
    if missing:
        raise ConfigError(
            "Expected to be told what the columns of a prediction of another tool mean, found no "
            f"{', '.join(missing)}.{where(predicted.obs)} Give these options, or a `--model` trained on data "
            "with the same columns."
        )
    if "holdout" in options and "training" not in options:
        raise ConfigError(
            "Expected `--training` with `--holdout`, found none. Give the training cells, or leave it out."
        )
    names = set(DataSpec.__dataclass_fields__)
    return DataSpec(**{name: value for name, value in options.items() if name in names})
