"""Settings of an evaluation."""

from dataclasses import dataclass, field

from cellflow_cli.errors import ConfigError

LIBRARY_ONLY = ("baselines", "cell_types")
"""Settings that `cellflow evaluate` has no option for."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is scored, on how many cells, and from which draws.

    A single name is accepted where several are allowed: `EvaluationConfig(metrics="energy")`.

    Raises:
        ConfigError: If a number is too small, or no metric is left.
    """

    metrics: tuple[str, ...] | None = field(
        default=None,
        metadata={
            "help": "Metrics of `cellflow list metrics`; repeatable, or separated by commas.",
            "metavar": "NAME,..",
            "commas": True,
            "default": "all",
        },
    )
    definitions: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Add the metrics of a project as it defines them, see `cellflow list published-metrics`.",
            "metavar": "NAME,..",
            "commas": True,
        },
    )
    baselines: tuple[str, ...] | None = field(
        default=None,
        metadata={
            "help": "Baselines of `cellflow list baselines`; repeatable, or separated by commas.",
            "metavar": "NAME,..",
            "commas": True,
            "default": "all",
        },
    )
    scale: bool | None = field(
        default=None,
        metadata={
            "help": "Divide features by their training spread.",
            "default": "yes, but not components (pca:K)",
        },
    )
    max_cells: int = field(
        default=2500, metadata={"help": "Maximum cells on either side of a comparison.", "min": 2}
    )
    all_cells: bool = field(
        default=False,
        metadata={"help": "Compare with all measured cells, not with half of them; leaves no floor."},
    )
    floor_splits: int = field(
        default=5, metadata={"help": "Random splits that the noise floor is averaged over.", "min": 1}
    )
    audit: bool = field(
        default=True,
        metadata={"help": "Score degenerate predictors, too, and flag the metrics that prefer one."},
    )
    cell_types: bool = field(
        default=True, metadata={"help": "Score each cell type by itself, too, where the types are known."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of everything random.", "min": 0, "max": 2**63 - 1})

    def __post_init__(self) -> None:
        for name in ("metrics", "definitions", "baselines"):
            names = getattr(self, name)
            if names is not None:
                unique = dict.fromkeys([names] if isinstance(names, str) else names)
                object.__setattr__(self, name, tuple(unique))
        for name, least in (("max_cells", 2), ("floor_splits", 1)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"Expected `{name}` to be at least {least}, found {getattr(self, name)!r} "
                    f"(`--{name.replace('_', '-')}`)."
                )
        if self.metrics == () and not self.definitions:
            raise ConfigError(
                "Expected at least one metric, found none. Leave `metrics` out to have all of ours."
            )
