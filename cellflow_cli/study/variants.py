"""What is compared: methods with their settings, under names of their own."""

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
    """A method as it takes part in a comparison.

    Attributes:
        name: What its row is called.
        config: All its settings; data specification and seed are those of the study.
        left_out: Common settings of another method that this one has not, such as `method.embedder`.
    """

    name: str
    config: RunConfig
    left_out: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name as a folder."""
        return slug(self.name)


def variants_of_methods(names: Sequence[str], common: Mapping[str, Any]) -> list[Variant]:
    """One variant for each method of the catalog, otherwise with the common settings as far as it has them.

    Args:
        names: Catalog names.
        common: Settings of a run, with `data`.

    Raises:
        ConfigError: If there is no method of a name, or a setting is wrong.
    """
    for name in names:
        Catalog("methods").load(name)
    return [_variant(name, common, {"method": {"name": name}}) for name in names]


def read_variants(path: Path, common: Mapping[str, Any]) -> list[Variant]:
    """Variants of a TOML file: a table for each, whose settings win over the common ones.

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
    found = []
    for name, settings in read_toml(path).items():
        if not isinstance(settings, Mapping):
            raise ConfigError(
                f"Expected a table for each variant in `{path}`, found {name} = {settings!r}. Write `[NAME]` "
                "and below it settings such as `method.name`."
            )
        foreign = [key for key in settings if key not in _OWN]
        if foreign:
            raise ConfigError(
                f"Expected settings of {listed(_OWN)} in the variant {name!r} of `{path}`, found "
                f"{listed(foreign)}. Data and seeds are those of the comparison: give them as options."
            )
        try:
            found.append(_variant(name, common, settings))
        except ConfigError as error:
            raise ConfigError(f"In the variant {name!r} of `{path}`: {error}") from error
    return found


def _variant(name: str, common: Mapping[str, Any], own: Mapping[str, Any]) -> Variant:
    """A variant of its own settings over the common ones; what only other methods have is left out.

    A common setting that no method has stays, to be refused as unknown.
    """
    shared, chosen = (_table(settings.get("method", {})) for settings in (common, own))
    method = chosen.get("name", shared.get("name"))
    if not isinstance(method, str):
        return Variant(name=name, config=from_dict(merged(common, own)))
    foreign = {key for other in Catalog("methods").names() for key in _settings_of(other)}
    foreign -= {"name", *_settings_of(method)}
    kept = {key: value for key, value in shared.items() if key not in foreign}
    settings = merged({**common, "method": {**kept, "name": method}}, own)
    left_out = tuple(f"method.{key}" for key in shared if key in foreign)
    return Variant(name=name, config=from_dict(settings), left_out=left_out)


def _table(method: Any) -> Mapping[str, Any]:
    return method if isinstance(method, Mapping) else {"name": method}


def _settings_of(method: str) -> set[str]:
    return {setting.name for setting in fields(Catalog("methods").load(method).config)}


def check_variants(variants: Sequence[Variant]) -> None:
    """Refuse an empty list, and names that would share a row or a folder with another.

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
            raise ConfigError(f"Expected a variant of another name than the row {variant.name!r}. Rename it.")
        if variant.slug in seen:
            raise ConfigError(
                f"Expected variants of different names, found {seen[variant.slug]!r} and {variant.name!r}. "
                "Rename one."
            )
        seen[variant.slug] = variant.name


def slug(text: str) -> str:
    """Text as the name of a folder: letters, digits and single hyphens."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.").lower()
