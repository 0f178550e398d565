"""What a feature space is: how it is named, fitted, used and stored.

A space maps the expression of n cells over g genes (or markers), [n, g], to the d features of the
flow, [n, d], and back. Expression is what the rest of the package hands in: log1p of normalised
counts, or the values of a file as they are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol, TypeVar, cast, get_type_hints, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from cellflow_cli.plain import Plain, PlainError, array

_Space = TypeVar("_Space", bound="FeatureSpace")


class Decoded(NamedTuple):
    """Cells back in expression space.

    Attributes:
        expression: Shape [n, g].
        n_clipped: How many values were below zero, where expression cannot be, and were set to zero.
    """

    expression: Float32[np.ndarray, "n g"]
    n_clipped: int


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingCells:
    """Expression of the training cells, in blocks that are read anew for each pass.

    Attributes:
        genes: Names of the g columns, all different.
        n_cells: Rows of all blocks together, one or more.
        is_log1p: Whether the values are log1p expression, which is never below zero.
        blocks: Called as `blocks() -> iterator` over dense or CSR matrices of finite values, each of
            shape [r, g]; they must not be written to.
    """

    genes: tuple[str, ...]
    n_cells: int
    is_log1p: bool
    blocks: Callable[[], Iterator[Any]]


@runtime_checkable
class FeatureSpace(Protocol):
    """A fitted space: a frozen dataclass of names, numbers and float64 arrays, which `to_parts` stores.

    It refuses arrays of other sizes than its names with a ValueError (see `check_shapes`), since they may
    come from a damaged file.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the d features."""
        ...

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the g genes that `encode` reads, in order."""
        ...

    @property
    def mean(self) -> Float[np.ndarray, " g"]:
        """Training mean of each gene, which stands in for a gene that a file lacks."""
        ...

    @property
    def scale(self) -> Float[np.ndarray, " d"] | None:
        """Training spread of each feature, above zero, by which distances divide it.

        None where features share a unit and are compared as they are.
        """
        ...

    @property
    def obsm_key(self) -> str | None:
        """Entry of obsm where a prediction keeps the features; None where they are the genes."""
        ...

    @property
    def is_lossy(self) -> bool:
        """Whether `decode(encode(expression))` differs from `expression`."""
        ...

    def encode(self, expression: Float32[np.ndarray, "n g"]) -> Float32[np.ndarray, "n d"]:
        """Expression to features, each cell by itself."""
        ...

    def decode(self, cells: Float32[np.ndarray, "n d"]) -> Decoded:
        """Features to expression, each cell by itself."""
        ...

    def varm(self) -> dict[str, Float32[np.ndarray, "g ..."]]:
        """Facts of each gene that a prediction keeps in varm, such as principal axes."""
        ...


@runtime_checkable
class NeedsVariation(Protocol):
    """What a config is whose space needs genes that vary."""

    def variation_fault(self, n_varying: int) -> str:
        """Why so few genes that vary over the training cells are too few; empty if not."""
        ...


@runtime_checkable
class SpaceConfig(Protocol):
    """What `--features` requests: a space that is not fitted yet."""

    def n_features(self, n_genes: int) -> int:
        """Width d of the space over `n_genes` genes."""
        ...

    def fault(self, n_cells: int, n_genes: int) -> str:
        """Why so many training cells and genes are too few, as "Expected ..., found ..."; empty if not."""
        ...

    def fit(self, cells: TrainingCells, seed: int) -> FeatureSpace:
        """Learn the space; the same cells and seed give the same space bit for bit.

        Raises:
            ConfigError: If the cells or genes are too few.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SpaceEntry:
    """What a file of this room ends with.

    Attributes:
        parse: Called with VALUE of `--features NAME:VALUE`; raises ValueError with what VALUE has to be.
        space: Class of the fitted space, a dataclass.
        usage: The option as messages show it, such as `"pca:K"`; empty where a matrix is named alone.
        needs_expression: Whether genes enter as expression: `--expression` is required and checked, and
            counts are normalised. Otherwise the values of the file enter as they are.
        max_genes: Most genes or markers of a file that the space can take, or None.
    """

    parse: Callable[[str], SpaceConfig]
    space: Callable[..., FeatureSpace]
    usage: str
    needs_expression: bool = True
    max_genes: int | None = None


def to_parts(space: FeatureSpace) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The fields of a space: those that are text or plain numbers, for JSON, and the arrays."""
    values = {field.name: getattr(space, field.name) for field in fields(space)}  # type: ignore[arg-type]
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in values.items() if name not in arrays}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in plain.items()}, arrays


def from_parts(
    space: Callable[..., _Space], plain: Mapping[str, Any] | Plain, arrays: Mapping[str, np.ndarray]
) -> _Space:
    """The inverse of `to_parts`, for the class of a space.

    Raises:
        PlainError: If a field is missing or of another type, a name comes twice, an array is not finite, a
            scale is not above zero, or names and arrays disagree in size.
    """
    hints = get_type_hints(space)
    stored = [field.name for field in fields(space) if hints[field.name] is np.ndarray]  # type: ignore[arg-type]
    text = Plain.of(plain, "feature space")
    values = text.record(cast(type, space), without=stored)
    for name, value in values.items():
        if isinstance(value, tuple) and value and isinstance(value[0], str):
            text[name].texts(distinct=True)
    values |= {name: array(arrays, name, "the arrays of the feature transform") for name in stored}
    if "scale" in stored and not (values["scale"] > 0).all():
        raise PlainError(
            "Expected a `scale` above zero in the arrays of the feature transform, found others."
        )
    try:
        return space(**values)
    except ValueError as error:
        raise PlainError(f"Expected the stored feature transform to have {error}.") from error


def check_shapes(**expected: tuple[np.ndarray, tuple[int, ...]]) -> None:
    """Refuse arrays that do not have the shapes that belong to them: `check_shapes(mean=(mean, (g,)))`.

    Raises:
        ValueError: Naming the first of them.
    """
    for name, (found, shape) in expected.items():
        if found.shape != shape:
            raise ValueError(f"`{name}` of the shape {shape}, found {found.shape}")
