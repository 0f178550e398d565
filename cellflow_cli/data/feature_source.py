"""What `--features` names: a matrix of the data, and the space that its values are mapped to."""

import functools
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import ConfigError, nearest

if TYPE_CHECKING:
    from cellflow_cli.features import SpaceConfig, SpaceEntry

NAMED_SLOTS = ("layers", "obsm")
"""Parts of an AnnData object that hold several matrices by name."""
_PLAIN = "values"  # the space of a matrix that is named alone


class Matrix(NamedTuple):
    """A cells-by-features matrix of an AnnData object.

    Attributes:
        slot: Part of the object that holds it.
        name: Name within `layers` or `obsm`, otherwise empty.
    """

    slot: Literal["X", "layers", "obsm"]
    name: str = ""


class FeatureSource(NamedTuple):
    """What `features` names: a matrix, and the space that its values are mapped to.

    Attributes:
        matrix: Where the values are read.
        entry: Entry of the space in the catalog.
        config: The space with its settings, not fitted yet.
    """

    matrix: Matrix
    entry: "SpaceEntry"
    config: "SpaceConfig"

    @property
    def max_genes(self) -> int | None:
        """Most columns that the matrix may have; an obsm entry is reduced already and has no limit."""
        return None if self.matrix.slot == "obsm" else self.entry.max_genes


def named_matrix(text: str) -> Matrix | None:
    """The matrix that `X`, `layers/NAME` or `obsm/NAME` names; None for any other text."""
    if text == "X":
        return Matrix("X")
    if match := re.fullmatch(r"(layers|obsm)/(.+)", text):
        return Matrix("layers" if match[1] == "layers" else "obsm", match[2])
    return None


@functools.cache
def parse_features(text: str) -> FeatureSource:
    """Read `X`, `layers/NAME`, `obsm/NAME`, or `NAME:VALUE` for the space NAME of X, such as `pca:30`.

    Raises:
        ConfigError: If `text` is none of these, or the space does not take this VALUE.
    """
    spaces = Catalog("features")
    matrix = named_matrix(text)
    name, _, value = (_PLAIN, "", "") if matrix else text.partition(":")
    if not matrix and (not value or name not in spaces.names()):
        raise ConfigError(_expected_features(text, nearest(name, spaces.names())))
    entry: SpaceEntry = spaces.load(name)
    try:
        config = entry.parse(value)
    except ValueError as error:
        raise ConfigError(_expected_features(text, f" Expected {error}.")) from error
    return FeatureSource(matrix or Matrix("X"), entry, config)


def _expected_features(text: str, hint: str) -> str:
    spaces = Catalog("features")
    usages = [usage for name in spaces.names() if (usage := spaces.load(name).usage)]
    *others, last = ["X", "layers/NAME", "obsm/NAME", *usages]
    return (
        f"Expected `features` to be {', '.join(others)} or {last}, found {text!r}.{hint} Choose them with "
        "`--features`, for example `--features pca:50`."
    )
