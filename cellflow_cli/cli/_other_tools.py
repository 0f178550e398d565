"""Predictions of other tools in `evaluate`: options for what their files do not say, and reading them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cellflow_cli.cli._fields import OptionsOf
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError
from cellflow_cli.external.file_format import ExternalFormat
from cellflow_cli.flags import flags_of, written

if TYPE_CHECKING:
    import anndata
    import pandas as pd

PANEL = "Predictions of other tools"
_OF_TRAINING = (  # settings of the data that no evaluation reads
    *("match_key", "dose_unit", "covariate_key", "pairs_key", "split_key"),
    *("min_cells", "drop_small", "drop_unpaired", "rename", "sample_name"),
)

Columns = Annotated[
    dict[str, Any], OptionsOf(DataSpec, without=_OF_TRAINING, panel=PANEL, given=True, needed=False)
]
Format = Annotated[dict[str, Any], OptionsOf(ExternalFormat, panel=PANEL, given=True)]
Training = Annotated[
    list[Path] | None,
    typer.Option(
        "--training",
        help="Cells that the tool was trained on, for the baselines; repeatable.",
        metavar="DATA",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True)
class External:
    """What the command line says of a prediction of another tool.

    Attributes:
        columns: Settings of `DataSpec`.
        format: Settings of `ExternalFormat`.
        training: Cells that the tool was trained on.
    """

    columns: dict[str, Any]
    format: dict[str, Any]
    training: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.columns or self.format or self.training)

    @property
    def words(self) -> tuple[str, ...]:
        """The options as they are typed."""
        return (*written(DataSpec, self.columns), *self._words_of_file)

    @property
    def _words_of_file(self) -> tuple[str, ...]:
        """Those that say nothing of the columns."""
        training = (word for path in self.training for word in ("--training", str(path)))
        return (*written(ExternalFormat, self.format), *training)

    def renamed(
        self, predicted: "anndata.AnnData", truth: "anndata.AnnData"
    ) -> "tuple[anndata.AnnData, anndata.AnnData]":
        """Both files with columns and labels renamed where they occur.

        Raises:
            ConfigError, DataError: As `data.renaming.rename`.
        """
        from cellflow_cli.data.renaming import rename_all

        names = self.format.get("rename", ())
        return tuple(rename_all([predicted, truth], names)) if names else (predicted, truth)  # type: ignore[return-value]

    def check_columns(self, spec: DataSpec, who: str) -> None:
        """Refuse settings of the columns other than those of a prediction or a model.

        Raises:
            ConfigError: Naming the first of them.
        """
        for name, value in self.columns.items():
            if getattr(spec, name) != value:
                words = written(DataSpec, {name: value})
                raise _unneeded(words, f"{who} says {getattr(spec, name)!r}, as the model was trained")

    def check_unneeded(self, spec: DataSpec) -> None:
        """Refuse options beside a prediction of `cellflow predict`, which says all of this itself.

        Raises:
            ConfigError: Naming the first of them.
        """
        self.check_columns(spec, "PRED")
        for flag in flags_of(ExternalFormat, only=self.format.keys() - {"rename"}):
            _refuse_for_ours(flag.write(self.format[flag.name]))
        if self.training:
            _refuse_for_ours(["--training", str(self.training[0])])

    def spec(self, obs: "pd.DataFrame") -> DataSpec:
        """What the columns mean, where no model says so.

        Args:
            obs: Of the prediction, for the message.

        Raises:
            ConfigError: If it was not given, or contradicts itself.
        """
        from cellflow_cli.data.columns import where

        missing = [f"`{f.on}`" for f in flags_of(DataSpec) if f.required and f.name not in self.columns]
        if missing:
            raise ConfigError(
                f"Missing {', '.join(missing)}: what the columns of a prediction of another tool mean."
                f"{where(obs)} Give these options, or a `--model` trained on data with the same columns."
            )
        if "holdout" in self.columns and not self.training:
            raise ConfigError(
                "Expected `--training` with `--holdout`, found none. Give it too, or leave out `--holdout`."
            )
        return DataSpec(**self.columns)


def _unneeded(words: Sequence[str], found: str) -> ConfigError:
    return ConfigError(
        f"Expected no `{' '.join(words)}`: {found}. Leave the option out; it is for predictions of other "
        "tools that nothing else describes."
    )


def _refuse_for_ours(words: Sequence[str]) -> NoReturn:
    raise _unneeded(words, "PRED, which was written by `cellflow predict`, says itself what it holds")


def read_external_files(
    predicted: "anndata.AnnData",
    truth: Path,
    external: External,
    model: Path | None,
    seed: int,
    truth_layer: str | None = None,
) -> "tuple[anndata.AnnData, anndata.AnnData]":
    """A prediction of another tool as one of ours, and the truth.

    Raises:
        ConfigError, DataError: If something is missing, or does not fit.
        BundleError: If the model folder is none.
    """
    from cellflow_cli.data.moving import read_truth
    from cellflow_cli.data.read import read
    from cellflow_cli.external.read import read_external

    spec, known = (external.spec(predicted.obs), {}) if model is None else _of_model(model, external)
    measured = read_truth(truth, spec.features, truth_layer, fixed=model is not None)
    training = read(external.training, features=spec.features) if external.training else None
    file_format = replace(ExternalFormat(**external.format), rename=())
    predicted, measured = external.renamed(predicted, measured)
    prediction = read_external(predicted, measured, spec, file_format, training=training, seed=seed, **known)
    return prediction, measured


def _of_model(folder: Path, external: External) -> tuple[DataSpec, dict[str, Any]]:
    """What the model knows of the data; it has the last word on what the columns mean."""
    from cellflow_cli.model import load

    if external.training:
        raise ConfigError("Expected either `--model` or `--training`, found both. Leave one out.")
    model = load(folder)
    external.check_columns(model.config.data, "the model")
    return model.config.data, {"transform": model.transform, "summaries": model.summaries}
