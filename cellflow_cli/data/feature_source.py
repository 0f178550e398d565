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
_OF = " of "
_PLAIN = "values"  # the space of a matrix that is named alone


class Matrix(NamedTuple):
    """A cells-by-features matrix of an AnnData object.

    Attributes:
        slot: Part of the object that holds it.
        name: Name within `layers` or `obsm`, otherwise empty.
    """

    slot: Literal["X", "raw", "layers", "obsm"]
    name: str = ""

    @property
    def text(self) -> str:
        """As `--features` names it: `X`, `raw`, `layers/NAME` or `obsm/NAME`."""
        return f"{self.slot}/{self.name}" if self.name else self.slot

    @property
    def layer(self) -> str:
        """As `--layer` names it: `X`, `raw` or the name of a layer."""
        return self.text if self.name in ("X", "raw") or self.slot != "layers" else self.name


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
    """The matrix that `X`, `raw`, `layers/NAME` or `obsm/NAME` names; None for any other text."""
    if text in ("X", "raw"):
        return Matrix("X" if text == "X" else "raw")
    if match := re.fullmatch(r"(layers|obsm)/(.+)", text):
        return Matrix("layers" if match[1] == "layers" else "obsm", match[2])
    return None


def in_layer(features: str, layer: str | None, option: str = "--layer") -> str:
    """The same features read from another matrix, such as `pca:30 of layers/counts`.

    Args:
        features: As `parse_features` takes them.
        layer: `X`, `raw` for `adata.raw`, or the name of a layer, where `layers/raw` is a layer called raw;
            None changes nothing.
        option: What names the layer in this command.

    Raises:
        ConfigError: If the features are an entry of obsm.
    """
    if layer is None:
        return features
    source = parse_features(features)
    matrix = named_matrix(layer) or Matrix("layers", layer)
    if source.matrix.slot == "obsm" or matrix.slot == "obsm":
        raise ConfigError(
            f"Expected `{option}` with features of genes or markers, found features {features!r} and layer "
            f"{layer!r}: an entry of obsm is no layer. Leave one of them out."
        )
    if named_matrix(features):
        return matrix.text
    space = features.partition(_OF)[0]
    return space if matrix.slot == "X" else f"{space}{_OF}{matrix.text}"


def with_layer(features: str, layer: str | None) -> str:
    """The features that `--features` and `--layer` name together.

    Raises:
        ConfigError: If they name two matrices.
    """
    if layer == "":
        raise ConfigError("Expected the name of a layer, X or raw, found ''. Choose it with `--layer`.")
    named = in_layer(features, layer)
    at = parse_features(features).matrix
    if at.slot != "X" and parse_features(named).matrix != at:
        raise ConfigError(
            f"Expected one matrix, found {at.text!r} in `--features` and {layer!r} in `--layer`. Leave one "
            "of them out."
        )
    return named


@functools.cache
def parse_features(text: str) -> FeatureSource:
    """Read a matrix, or `NAME:VALUE` for the space NAME, such as `pca:30`, with ` of MATRIX` for one but X.

    Raises:
        ConfigError: If `text` is none of these, or the space does not take this VALUE.
    """
    spaces = Catalog("features")
    matrix = named_matrix(text)
    space, _, of = text.partition(_OF)
    name, _, value = (_PLAIN, "", "") if matrix else space.partition(":")
    if not matrix and (not value or name not in spaces.names()):
        raise ConfigError(_expected_features(text, nearest(name, spaces.names())))
    entry: SpaceEntry = spaces.load(name)
    try:
        config = entry.parse(value)
    except ValueError as error:
        raise ConfigError(_expected_features(text, f" Expected {error}.")) from error
    if _OF in text and not matrix and ((inner := named_matrix(of)) is None or inner.slot == "obsm"):
        raise ConfigError(_expected_features(text, " Choose the layer with `--layer`."))
    return FeatureSource(matrix or named_matrix(of) or Matrix("X"), entry, config)


def _expected_features(text: str, hint: str) -> str:
    spaces = Catalog("features")
    usages = [usage for name in spaces.names() if (usage := spaces.load(name).usage)]
    *others, last = ["X", "raw", "layers/NAME", "obsm/NAME", *usages]
    return (
        f"Expected `features` to be {', '.join(others)} or {last}, found {text!r}.{hint} Choose them with "
        "`--features`, for example `--features pca:50`."
    )
