"""What `--holdout` says, before the data are known."""

import math
from typing import NamedTuple

from cellflow_cli.errors import ConfigError


class Holdout(NamedTuple):
    """One `--holdout`: the values of a column, or a fraction of the groups.

    Attributes:
        column: Column of obs, or an empty string for a fraction.
        values: Text after the first equals sign: one label, or several separated by commas. Only the data
            tell them apart, as labels may hold commas and equals signs themselves.
        fraction: Share of the groups, or 0 for a column.
    """

    column: str = ""
    values: str = ""
    fraction: float = 0.0

    @property
    def words(self) -> str:
        """The whole text of a column and its values."""
        return f"{self.column}={self.values}"


def parse_holdout(text: str) -> Holdout:
    """Read `patient=P7,P9` or a fraction of the groups such as `0.2`.

    Raises:
        ConfigError: If `text` is neither, or the fraction is not between 0 and 1.
    """
    column, equals, values = text.partition("=")
    if equals and column.strip() and values.strip(" ,"):
        return Holdout(column=column.strip(), values=values.strip())
    try:
        fraction = float(text)
    except ValueError:
        fraction = math.nan
    if not 0 < fraction < 1:
        raise ConfigError(
            f"Expected `holdout` to be COLUMN=VALUE,VALUE or a fraction of the groups between 0 and 1, "
            f"found {text!r}. Write for example `--holdout patient=P7,P9` or `--holdout 0.2`."
        )
    return Holdout(fraction=fraction)
