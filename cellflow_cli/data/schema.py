"""What the columns of the data mean and which features are modelled.

`DataSpec` is plain and knows no file: it refuses settings that contradict each other, and leaves
the question whether a column exists to the modules that read.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from cellflow_cli.data.choice import Choice, names_in, parse_key
from cellflow_cli.data.feature_source import FeatureSource, parse_features, with_layer
from cellflow_cli.data.holdout_text import parse_holdout
from cellflow_cli.data.spelling import canonical
from cellflow_cli.errors import ConfigError, listed, nearest

COUNTS = ("counts", "fractional-counts")
"""Kinds of expression that are normalised and logged here."""
EXPRESSIONS = ("as-is", "counts", "fractional-counts", "log1p")
_TUPLES = (
    "control", "sample_key", "match_key", "covariate_key", "holdout", "rename", "only_features",
    "drop_features",
)  # fmt: skip
SAMPLE = "sample"
"""Column that `--sample-name` adds where no sample key says another."""
RENAME = {
    "help": "Read column OLD of obs as NEW, or the label OLD of a column as NEW; repeatable.",
    "metavar": "NEW=OLD|COLUMN:NEW=OLD",
}
"""Help of `--rename`, for every command that has it."""


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
    layer: str | None = field(
        default=None,
        metadata={
            "help": "Layer that holds the values, or raw for adata.raw; default: X.",
            "metavar": "NAME",
        },
    )
    expression: str | None = field(
        default=None,
        metadata={
            "help": "Values of the matrix: counts, fractional-counts, log1p or as-is; required with pca:K.",
            "metavar": "counts|fractional-counts|log1p|as-is",
        },
    )
    feature_key: str | None = field(
        default=None,
        metadata={
            "help": "Use the features that a column of var marks: true, or one of the values.",
            "metavar": "COLUMN[=VALUE,..]",
        },
    )
    only_features: tuple[str, ...] = field(
        default=(),
        metadata={"help": "Use these features; @FILE has one per line; repeatable.", "metavar": "NAME,.."},
    )
    drop_features: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Leave these out; @FILE has one name per line; repeatable.",
            "metavar": "NAME,..",
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

    rename: tuple[str, ...] = field(default=(), metadata=RENAME)
    sample_name: str | None = field(
        default=None,
        metadata={
            "help": "Name of the one sample that all cells are of, where the data have no sample column.",
            "metavar": "NAME",
        },
    )

    def __post_init__(self) -> None:
        if self.sample_name is not None and not self.sample_key:
            object.__setattr__(self, "sample_key", (SAMPLE,))
        for name in _TUPLES:
            value = getattr(self, name)
            object.__setattr__(
                self,
                name,
                tuple(value)
                if isinstance(value, Iterable) and not isinstance(value, str | bytes)
                else (value,),
            )
        object.__setattr__(self, "control", tuple(canonical(value) for value in self.control))
        object.__setattr__(self, "features", with_layer(self.features, self.layer))
        for name in ("only_features", "drop_features"):
            object.__setattr__(self, name, names_in(getattr(self, name)))
        if self.feature_key is not None:
            parse_key(self.feature_key)
        self._check_required()
        self._check_columns()
        self._check_features()
        self._check_split()
        if self.min_cells < 1:
            raise ConfigError(
                f"Expected `min_cells` to be at least 1, found {self.min_cells!r} (`--min-cells`)."
            )

    def of_named_data(self) -> "DataSpec":
        """The same for data whose columns and labels were renamed before."""
        return replace(self, rename=(), sample_name=None)

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

    @property
    def choice(self) -> Choice:
        """Which of the features are used."""
        return Choice(self.feature_key, self.only_features, self.drop_features)

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
                f"Expected `expression` to be given with features {self.features!r}, found none. Say what "
                f"{source.matrix.text} holds: `--expression counts`, `--expression log1p` or `--expression "
                "as-is`."
            )
        if not source.entry.needs_expression and self.expression in COUNTS:
            raise ConfigError(
                f"Expected features such as pca:K with expression {self.expression!r}, found features "
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
