"""What the columns of the data mean and which features are modelled.

`DataSpec` is plain and knows no file: it refuses settings that contradict each other, and leaves
the question whether a column exists to the modules that read.
"""

import functools
import math
from dataclasses import dataclass, field
from typing import NamedTuple

from cellflow_cli.data.feature_source import FeatureSource, parse_features
from cellflow_cli.errors import ConfigError, listed, nearest

EXPRESSIONS = ("as-is", "counts", "log1p")
_TUPLES = ("control", "sample_key", "match_key", "covariate_key", "holdout")


class Holdout(NamedTuple):
    """One `--holdout`: the values of a column, or a fraction of the groups.

    Attributes:
        column: Column of obs, or an empty string for a fraction.
        values: Text after the equals sign, split at commas.
        fraction: Share of the groups, or 0 for a column.
    """

    column: str = ""
    values: tuple[str, ...] = ()
    fraction: float = 0.0


def parse_holdout(text: str) -> Holdout:
    """Read `patient=P7,P9` or a fraction of the groups such as `0.2`.

    Raises:
        ConfigError: If `text` is neither, or the fraction is not between 0 and 1.
    """
    column, equals, values = text.partition("=")
    if equals and column.strip() and values.strip():
        return Holdout(column=column.strip(), values=tuple(v.strip() for v in values.split(",") if v.strip()))
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


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """Roles of the columns of obs, the features of the flow, and the held-out groups.

    A single text is accepted where several are allowed: `DataSpec(control="DMSO", ...)`.

    Raises:
        ConfigError: If a setting makes no sense, or two contradict each other.
    """

    treatment_key: str = field(
        metadata={"help": "Column of obs with the treatment of each cell.", "metavar": "COLUMN"}
    )
    control: tuple[str, ...] = field(
        metadata={"help": "Value(s) of the treatment column for untreated cells.", "metavar": "LABEL"}
    )
    sample_key: tuple[str, ...] = field(
        metadata={"help": "Column(s) of obs that together identify a biological sample.", "metavar": "COLUMN"}
    )
    group_key: str | None = field(
        default=None,
        metadata={
            "help": "Unit that is held out or validated as a whole, such as the patient; default: first "
            "sample key.",
            "metavar": "COLUMN",
        },
    )
    match_key: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Sample key(s) that match treated populations to their controls; default: all.",
            "metavar": "COLUMN",
        },
    )
    batch_key: str | None = field(
        default=None,
        metadata={"help": "Technical replicate within a sample, for the noise floor.", "metavar": "COLUMN"},
    )
    dose_key: str | None = field(
        default=None, metadata={"help": "Column of obs with the numeric dose.", "metavar": "COLUMN"}
    )
    dose_unit: str = field(
        default="µM", metadata={"help": "Unit of the doses, for labels.", "metavar": "UNIT"}
    )
    cell_type_key: str | None = field(
        default=None, metadata={"help": "Column of obs with the cell type.", "metavar": "COLUMN"}
    )
    covariate_key: tuple[str, ...] = field(
        default=(),
        metadata={"help": "Categorical sample covariate(s) used as model input.", "metavar": "COLUMN"},
    )
    pairs_key: str | None = field(
        default=None,
        metadata={
            "help": "Integer column that pairs control and treated cells of a sample, where pairs are known; "
            "unpaired cells are used as without it.",
            "metavar": "COLUMN",
        },
    )
    features: str = field(
        default="X",
        metadata={
            "help": "Feature space of the model: X, layers/NAME, obsm/NAME or pca:K.",
            "metavar": "X|layers/NAME|obsm/NAME|pca:K",
        },
    )
    expression: str | None = field(
        default=None,
        metadata={
            "help": "Values in X: counts, log1p or as-is; required with pca:K.",
            "metavar": "counts|log1p|as-is",
        },
    )
    holdout: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Groups held out for testing: patient=P7,P9 or a fraction such as 0.2.",
            "metavar": "COLUMN=VALUE,..|FRACTION",
        },
    )
    split_key: str | None = field(
        default=None,
        metadata={"help": "Column of obs with the values train, val and test.", "metavar": "COLUMN"},
    )
    min_cells: int = field(default=20, metadata={"help": "Minimum cells per population.", "metavar": "N"})
    drop_small: bool = field(
        default=False, metadata={"help": "Exclude populations with fewer cells than the minimum."}
    )
    drop_unpaired: bool = field(
        default=False, metadata={"help": "Exclude treated populations without controls."}
    )

    def __post_init__(self) -> None:
        for name in _TUPLES:
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        self._check_required()
        self._check_columns()
        self._check_features()
        self._check_split()
        if self.min_cells < 1:
            raise ConfigError(
                f"Expected `min_cells` to be at least 1, found {self.min_cells!r} (`--min-cells`)."
            )

    @property
    def group(self) -> str:
        """Column of the groups: `group_key`, or the first sample key."""
        return self.group_key or self.sample_key[0]

    @property
    def match(self) -> tuple[str, ...]:
        """Columns on which a treated population finds its control: `match_key`, or all sample keys."""
        return self.match_key or self.sample_key

    @functools.cached_property
    def source(self) -> FeatureSource:
        """`features`, resolved to a matrix and a feature space."""
        return parse_features(self.features)

    def _check_required(self) -> None:
        for name, flag in (
            ("treatment_key", "treatment-key"),
            ("control", "control"),
            ("sample_key", "sample-key"),
        ):
            value = getattr(self, name)
            if not value or not all(value):
                raise ConfigError(
                    f"Expected `{name}` to be given, found {value!r}. Choose it with `--{flag}`."
                )

    def _check_columns(self) -> None:
        for name in ("control", "sample_key", "match_key", "covariate_key"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ConfigError(f"Expected the values of `{name}` to differ, found {listed(values)}.")
        for name in ("treatment_key", "dose_key", "pairs_key"):
            if getattr(self, name) in {*self.sample_key, self.group}:
                raise ConfigError(
                    f"Expected `{name}` to be no sample or group key, found {getattr(self, name)!r} in both. "
                    "A sample is identified by columns that treated and control cells share."
                )
        if unknown := [key for key in self.match_key if key not in self.sample_key]:
            raise ConfigError(
                f"Expected every `match_key` to be one of the sample keys {listed(self.sample_key)}, "
                f"found {listed(unknown)}. Name it with `--sample-key` too."
            )

    def _check_features(self) -> None:
        source = self.source
        if self.expression is not None and self.expression not in EXPRESSIONS:
            raise ConfigError(
                f"Expected `expression` to be one of {listed(EXPRESSIONS)}, found {self.expression!r}."
                f"{nearest(self.expression, EXPRESSIONS)} Choose it with `--expression`."
            )
        if source.entry.needs_expression and self.expression is None:
            raise ConfigError(
                f"Expected `expression` to be given with features {self.features!r}, found none. Say what X "
                "holds: `--expression counts`, `--expression log1p` or `--expression as-is`."
            )
        if not source.entry.needs_expression and self.expression == "counts":
            raise ConfigError(
                f"Expected features such as pca:K with expression 'counts', found features "
                f"{self.features!r}, which are taken as they are. Add for example `--features pca:50`, or "
                "leave `--expression` out."
            )

    def _check_split(self) -> None:
        if self.holdout and self.split_key:
            raise ConfigError(
                f"Expected either `holdout` or `split_key`, found both ({listed(self.holdout)}; "
                f"{self.split_key!r}). Leave out `--holdout` or `--split-key`."
            )
        parsed = [parse_holdout(text) for text in self.holdout]
        if len(parsed) > 1 and any(part.fraction for part in parsed):
            raise ConfigError(
                f"Expected a fraction to be the only `holdout`, found {listed(self.holdout)}. "
                "Keep the fraction, or the named values."
            )
