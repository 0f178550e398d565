"""Numbers about data before training: sizes, populations, split, estimates of memory and time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellflow_cli.data.expression import looks_like
from cellflow_cli.data.feature_source import parse_features
from cellflow_cli.data.joining import common_features
from cellflow_cli.data.population_rows import PopulationRows, PopulationTable
from cellflow_cli.data.split import Split
from cellflow_cli.data.validation.summary import FileSummary, total_evidence, total_tally

_LIBRARY_BYTES = 700 * 2**20  # resident in training, without the data
_SECONDS_PER_BYTE = 1e-8  # reading and normalising, one core, measured on 14,000 cells x 14,000 genes
_SECONDS_PER_STEP = 0.042  # of one core: a step of `mfm`, 8 x 128 cells of 30 markers


def population_row(population: PopulationRows, split: Split) -> dict[str, Any]:
    """Sample, condition, size and split of a population."""
    condition = population.condition
    parts = {group: name for name in ("train", "val", "test") for group in getattr(split, name)}
    return {
        "sample": population.name,
        "group": population.group,
        "condition": "control" if condition is None else "treated",
        "treatment": None if condition is None else condition.treatment,
        "dose": None if condition is None else condition.dose,
        "cells": len(population.rows),
        "split": parts.get(population.group),
    }


def file_overview(files: Sequence[FileSummary], features: str) -> dict[str, Any]:
    """Cells, features, what they look like, and what reading them takes."""
    n_cells = sum(len(part.obs) for part in files)
    n_inputs = len(common_features([part.names for part in files]))
    source = parse_features(features)
    n_features, limit = source.config.n_features(n_inputs), source.entry.max_genes
    n_bytes = sum(part.n_bytes for part in files)
    normalises = source.entry.needs_expression
    too_wide = limit is not None and n_features > limit
    return {
        "files": [name for part in files for name in part.obs.attrs.get("files", ())],
        "cells": n_cells,
        "features_in_file": n_inputs,
        "features_of_flow": n_features,
        "looks_like": looks_like(total_tally(files), total_evidence(files)),
        **({} if too_wide else _estimates(n_cells, n_features, n_bytes, normalises)),
    }


def _estimates(n_cells: int, n_features: int, n_bytes: int, normalises: bool) -> dict[str, Any]:
    """Rough peak memory and time of a training run with default settings on two CPU cores."""
    copies = 4 if normalises else 2  # read, normalised in float64 and float32; or read and float32
    return {
        "memory_gib": round((_LIBRARY_BYTES + copies * n_bytes + 8 * n_cells * n_features) / 2**30, 1),
        "prepare_seconds": round(2 + copies * n_bytes * _SECONDS_PER_BYTE, 1),
        "seconds_per_1000_steps": round(1000 * _SECONDS_PER_STEP * max(1.0, n_features / 50)),
    }


def population_overview(table: PopulationTable, split: Split) -> dict[str, Any]:
    """Groups, samples, conditions, sizes of the populations, and the split."""
    return {
        "groups": len(table.groups),
        "samples": len({population.sample for population in (*table.controls, *table.treated)}),
        "treatments": sorted({condition.treatment for condition in table.conditions}),
        "conditions": [condition.label for condition in table.conditions],
        "control": _population_sizes(table.controls),
        "treated": _population_sizes(table.treated),
        "split": {name: list(getattr(split, name)) for name in ("train", "val", "test")},
    }


def _population_sizes(populations: Sequence[PopulationRows]) -> dict[str, Any]:
    sizes = [len(population.rows) for population in populations]
    if not sizes:
        return {"populations": 0, "cells": 0}
    return {
        "populations": len(sizes),
        "cells": sum(sizes),
        "smallest": min(sizes),
        "median": float(np.median(sizes)),
        "largest": max(sizes),
    }
