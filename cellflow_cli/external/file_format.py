"""What a prediction of another tool does not say of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cellflow_cli.data.feature_source import named_matrix
from cellflow_cli.data.schema import EXPRESSIONS, RENAME
from cellflow_cli.errors import ConfigError, listed, nearest


@dataclass(frozen=True, kw_only=True)
class ExternalFormat:
    """What a file of another tool does not say of itself.

    `matrix` names where the predicted cells are; None is X too, but then a matrix that holds the measured
    cells themselves is refused. `expression` says what it holds; None is the same as the truth.
    """

    matrix: str | None = field(
        default=None,
        metadata={
            "help": "Where PRED holds the predicted cells; default: X.",
            "flag": "--predicted-in",
            "metavar": "X|layers/NAME|obsm/NAME",
        },
    )
    expression: str | None = field(
        default=None,
        metadata={
            "help": "What they hold, where it is not what TRUTH holds: log1p against counts, or counts that "
            "are expected ones with fractions.",
            "flag": "--predicted-expression",
            "metavar": "counts|log1p|as-is",
        },
    )
    obs: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "help": "Value that all predicted cells share, such as treatment=5-FU, where the column is "
            "missing or still says control; repeatable.",
            "flag": "--predicted-obs",
            "metavar": "COLUMN=VALUE",
        },
    )
    rename: tuple[str, ...] | Mapping[str, str] = field(default=(), metadata=RENAME)
    assume_feature_order: bool = field(
        default=False,
        metadata={
            "help": "PRED lost its feature names: its columns are the features of TRUTH in their order."
        },
    )
    shared_features: bool = field(
        default=False, metadata={"help": "Ignore features of TRUTH that PRED does not have."}
    )

    def __post_init__(self) -> None:
        names = self.rename
        pairs = (f"{new}={old}" for new, old in names.items()) if isinstance(names, Mapping) else names
        object.__setattr__(self, "rename", tuple(pairs))
        if self.matrix is not None and named_matrix(self.matrix) is None:
            raise ConfigError(
                f"Expected `--predicted-in` to be X, layers/NAME or obsm/NAME, found {self.matrix!r}."
            )
        if self.expression not in (None, *EXPRESSIONS):
            raise ConfigError(
                f"Expected `--predicted-expression` to be one of {listed(EXPRESSIONS)}, found "
                f"{self.expression!r}.{nearest(str(self.expression), EXPRESSIONS)}"
            )
