"""What is compared: methods with their settings, each under a name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cellflow_cli.catalog import Catalog
from cellflow_cli.config import RunConfig, from_dict, merged, read_toml
from cellflow_cli.errors import ConfigError, listed

_OWN = ("method", "training")
_LONGEST = 100


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A configured method in a comparison.

    Attributes:
        name: Of its predictor in tables.
        config: All its settings; data specification and seed are those of the study.
        ignored: Common settings that this method does not have, such as `method.embedder`.
    """

    name: str
    config: RunConfig
    ignored: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name as a folder."""
        return slug(self.name)


def variants_of_methods(names: Sequence[str], common: Mapping[str, Any]) -> list[Variant]:
    """One variant per method, with the common settings that it has.

    Args:
        names: Catalog names of methods.
        common: Settings of a run, with `data`.

    Raises:
        ConfigError: If there is no method of a name, or a setting is wrong.
    """
    for name in names:
        Catalog("methods").load(name)
    return [_variant(name, common, {"method": {"name": name}}) for name in names]


def read_variants(path: Path, common: Mapping[str, Any]) -> list[Variant]:
    """Variants of a TOML file: one table of settings per variant, which override the common ones.

        [fm]
        method = "fm"

        ["mfm, attention"]
        method.name = "mfm"
        method.embedder.name = "set-attention"
        training.steps = 4000

    Args:
        path: The file.
        common: Settings of a run, with `data`.

    Raises:
        ConfigError: If the file cannot be read, holds anything else than tables of `method` and
            `training`, or a setting is wrong; the message names the variant.
    """
    variants = []
    for name, settings in read_toml(path).items():
        if not isinstance(settings, Mapping):
            raise ConfigError(
                f"Expected a table for each variant in `{path}`, found {name} = {settings!r}. Write `[NAME]` "
                "and below it settings such as `method.name`."
            )
        unknown = [key for key in settings if key not in _OWN]
        if unknown:
            raise ConfigError(
                f"Expected settings of {listed(_OWN)} in the variant {name!r} of `{path}`, found "
                f"{listed(unknown)}. Data and seeds are those of the comparison: give them as options."
            )
        try:
            variants.append(_variant(name, common, settings))
        except ConfigError as error:
            raise ConfigError(f"In the variant {name!r} of `{path}`: {error}") from error
    return variants


def _variant(name: str, common: Mapping[str, Any], own: Mapping[str, Any]) -> Variant:
    """A variant of its own settings over the common ones; those that only other methods have are ignored.

    A common setting that no method has is kept, to be refused as unknown.
    """
    shared, chosen = (_table(settings.get("method", {})) for settings in (common, own))
    method = chosen.get("name", shared.get("name"))
    if not isinstance(method, str):
        return Variant(name=name, config=from_dict(merged(common, own)))
    of_others = {key for other in Catalog("methods").names() for key in _settings_of(other)}
    of_others -= {"name", *_settings_of(method)}
    kept = {key: value for key, value in shared.items() if key not in of_others}
    settings = merged({**common, "method": {**kept, "name": method}}, own)
    ignored = tuple(f"method.{key}" for key in shared if key in of_others)
    return Variant(name=name, config=from_dict(settings), ignored=ignored)


def _table(setting: Any) -> Mapping[str, Any]:
    return setting if isinstance(setting, Mapping) else {"name": setting}


def _settings_of(method: str) -> set[str]:
    return {setting.name for setting in fields(Catalog("methods").load(method).config)}


def check_variants(variants: Sequence[Variant]) -> None:
    """Refuse an empty list, and names that would share a predictor or a folder with another.

    Raises:
        ConfigError: Naming the first two.
    """
    if not variants:
        raise ConfigError(
            "Expected a method to compare, found none. Name some with `--methods`, or `--variants`."
        )
    taken = {*Catalog("baselines").names(), "floor", "truth-decoded"}
    seen: dict[str, str] = {}
    for variant in variants:
        if not variant.slug:
            raise ConfigError(f"Expected letters or digits in the name of a variant, found {variant.name!r}.")
        if len(variant.slug) > _LONGEST:
            raise ConfigError(
                f"Expected names of at most {_LONGEST} letters for variants, which become folders, found one "
                f"of {len(variant.name)}: {variant.name[:20]!r}... Shorten it."
            )
        if variant.name in taken:
            raise ConfigError(
                f"Expected a variant of another name than the predictor {variant.name!r}. Rename it."
            )
        if variant.slug in seen:
            raise ConfigError(
                f"Expected variants of different names, found {seen[variant.slug]!r} and {variant.name!r}. "
                "Rename one."
            )
        seen[variant.slug] = variant.name


def slug(text: str) -> str:
    """Text as the name of a folder: letters, digits and single hyphens."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.").lower()
