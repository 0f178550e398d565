"""What is compared: methods with their settings, under names of their own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellflow_cli.catalog import Catalog
from cellflow_cli.config import RunConfig, from_dict, merged, read_toml
from cellflow_cli.errors import ConfigError, listed

_OWN = ("method", "training", "solver")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A method as it takes part in a comparison.

    Attributes:
        name: What its row is called.
        config: All its settings; data specification and seed are those of the study.
    """

    name: str
    config: RunConfig

    @property
    def slug(self) -> str:
        """The name as a folder."""
        return slug(self.name)


def arms_of_methods(names: Sequence[str], common: Mapping[str, Any]) -> list[Arm]:
    """One arm for each method of the catalog, otherwise with the common settings.

    Args:
        names: Catalog names.
        common: Settings of a run, with `data`.

    Raises:
        ConfigError: If there is no method of a name, or a setting is wrong.
    """
    for name in names:
        Catalog("methods").load(name)
    return [Arm(name=n, config=from_dict(merged(common, {"method": {"name": n}}))) for n in names]


def read_arms(path: Path, common: Mapping[str, Any]) -> list[Arm]:
    """Arms of a TOML file: a table for each, whose settings win over the common ones.

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
        ConfigError: If the file cannot be read, holds anything else than tables of `method`, `training`
            and `solver`, or a setting is wrong; the message names the arm.
    """
    found = []
    for name, settings in read_toml(path).items():
        if not isinstance(settings, Mapping):
            raise ConfigError(
                f"Expected a table for each arm in `{path}`, found {name} = {settings!r}. Write `[NAME]` and "
                "below it settings such as `method.name`."
            )
        foreign = [key for key in settings if key not in _OWN]
        if foreign:
            raise ConfigError(
                f"Expected settings of {listed(_OWN)} in the arm {name!r} of `{path}`, found "
                f"{listed(foreign)}. Data and seeds are those of the comparison: give them as options."
            )
        try:
            found.append(Arm(name=name, config=from_dict(merged(common, settings))))
        except ConfigError as error:
            raise ConfigError(f"In the arm {name!r} of `{path}`: {error}") from error
    return found


def check_arms(arms: Sequence[Arm]) -> None:
    """Refuse an empty list, and names that would share a row or a folder with another.

    Raises:
        ConfigError: Naming the first two.
    """
    if not arms:
        raise ConfigError(
            "Expected a method to compare, found none. Name some with `--methods`, or `--arms`."
        )
    taken = {*Catalog("baselines").names(), "floor", "truth-decoded"}
    seen: dict[str, str] = {}
    for arm in arms:
        if not arm.slug:
            raise ConfigError(f"Expected letters or digits in the name of an arm, found {arm.name!r}.")
        if arm.name in taken:
            raise ConfigError(f"Expected an arm of another name than the row {arm.name!r}. Rename it.")
        if arm.slug in seen:
            raise ConfigError(
                f"Expected arms of different names, found {seen[arm.slug]!r} and {arm.name!r}. Rename one."
            )
        seen[arm.slug] = arm.name


def slug(text: str) -> str:
    """Text as the name of a folder: letters, digits and single hyphens."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.").lower()
