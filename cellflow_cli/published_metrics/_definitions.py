"""The metrics of other projects beside ours: `cellot:mmd` is what CellOT calls `mmd`."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import ConfigError, listed, nearest
from cellflow_cli.metrics import Comparison, Metric, MetricValue, Space


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """Entry of a project in the catalog.

    Attributes:
        project: Name as its authors write it.
        version: What was read and is reproduced: a release or a commit.
        space: What the project computes on: features of the flow or genes (markers), never divided by
            their spread.
        metrics: By the project's own name, with hyphens. Each function is given a `Comparison` whose
            `predicted`, `target`, `control` and `other_targets` are cells of that space; it reads
            nothing else. Its docstring holds the formula, and under "Source:" where the project
            computes it and how ours differs.
    """

    project: str
    version: str
    space: Space
    metrics: Mapping[str, Metric]


def find(name: str) -> Metric:
    """The metric of a name: `energy` is ours, `pertpy:edistance` is that of a project.

    Raises:
        ConfigError: If there is no such metric or project.
    """
    project, own = _split(name)
    if project is None:
        return Catalog("metrics").load(own)
    definitions = Catalog("published_metrics").load(project)
    if own not in definitions.metrics:
        known = sorted(definitions.metrics)
        raise ConfigError(
            f"Expected a metric that {definitions.project} defines, found {own!r} in {name!r}."
            f"{nearest(own, known)} Known: {listed(known, limit=20)}."
        )
    metric = definitions.metrics[own]
    return metric._replace(function=_in(definitions.space, metric.function), space=definitions.space)


def metrics_of(project: str) -> tuple[str, ...]:
    """Full names of the metrics of a project, such as `cellot:mmd`.

    Raises:
        ConfigError: If there is no such project.
    """
    return tuple(f"{project}:{name}" for name in Catalog("published_metrics").load(project).metrics)


def project_of(name: str) -> str | None:
    """The project whose metric it is; None if it is ours."""
    return _split(name)[0]


def origin_of(name: str) -> str | None:
    """Project and version that a metric is reproduced from; None if it is ours."""
    project = project_of(name)
    if project is None:
        return None
    definitions = Catalog("published_metrics").load(project)
    return f"{definitions.project} ({definitions.version})"


def described(names: Iterable[str]) -> dict[str, str]:
    """Each metric in one line: of ours that of its file, of others that of the function."""
    ours = Catalog("metrics").summaries()
    return {name: _first_line(find(name)) if project_of(name) else ours[name] for name in names}


def _split(name: str) -> tuple[str | None, str]:
    project, colon, own = name.partition(":")
    return (project, own) if colon else (None, name)


def _first_line(metric: Metric) -> str:
    return (inspect.getdoc(metric.function) or "").split("\n", 1)[0].rstrip(".")


def _in(space: Space, function: Callable[[Comparison], MetricValue]) -> Callable[[Comparison], MetricValue]:
    """The function, given the cells of one space in their own units."""

    @functools.wraps(function)
    def of_comparison(comparison: Comparison) -> MetricValue:
        return function(comparison.unscaled(space))

    return of_comparison
