"""Parts of a model from the plain values of its folder, each typed and held against the others."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cellflow_cli.baselines import Summaries
from cellflow_cli.config import RunConfig
from cellflow_cli.data.split import SPLITS, Split
from cellflow_cli.data.tensors import Vocabulary
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import listed
from cellflow_cli.plain import Plain, PlainError
from cellflow_cli.types import ModelShape

_SHAPE = ("n_features", "treatments", "doses", "samples", "n_covariates", "n_node_features")
_PARTS = ("transform", "vocabulary", "shape", "split")


def shape_to_json(shape: ModelShape) -> dict[str, Any]:
    """Sizes and codes as plain values."""
    return {
        "n_features": shape.n_features,
        "treatments": list(shape.treatments),
        "doses": {name: list(doses) for name, doses in shape.doses.items()},
        "samples": list(shape.samples),
        "n_covariates": shape.n_covariates,
        "n_node_features": shape.n_node_features,
    }


def shape_of(value: Plain) -> ModelShape:
    """The reverse of `shape_to_json`.

    Raises:
        PlainError: If a value is not what it has to be.
    """
    value.exactly(_SHAPE)
    treatments = value["treatments"].texts(distinct=True, at_least=1)
    doses: dict[str, tuple[float, ...]] = {}
    for name, listed_doses in value["doses"].items():
        if name not in treatments:
            listed_doses.fail(f"one of the treatments {listed(treatments)}", repr(name))
        doses[name] = tuple(dose.number(at_least=0) for dose in listed_doses.list())
        if not doses[name] or list(doses[name]) != sorted(set(doses[name])):
            listed_doses.fail("ascending doses", listed(doses[name]) or "none")
    return ModelShape(
        n_features=value["n_features"].whole(at_least=1),
        treatments=treatments,
        doses=doses,
        samples=value["samples"].texts(distinct=True),
        n_covariates=value["n_covariates"].whole(at_least=0),
        n_node_features=value["n_node_features"].whole(at_least=0),
    )


def split_to_json(split: Split) -> dict[str, list[str]]:
    """Groups by their use."""
    return {name: list(getattr(split, name)) for name in SPLITS}


def split_of(value: Plain) -> Split:
    """The reverse of `split_to_json`.

    Raises:
        PlainError: If a use is missing, or a group has two.
    """
    value.exactly(SPLITS)
    uses = {name: value[name].texts(distinct=True, at_least=int(name == "train")) for name in SPLITS}
    groups = [group for groups in uses.values() for group in groups]
    if len(set(groups)) < len(groups):
        value.fail(
            "each group in one of the three", listed(sorted({g for g in groups if groups.count(g) > 1}))
        )
    return Split(**uses)


def check_features(
    features: Plain, config: RunConfig, shape: ModelShape, transform: FeatureTransform, vocabulary: Vocabulary
) -> None:
    """Hold the sizes and settings of a model against each other.

    Raises:
        PlainError: Naming the first that differ.
    """
    features.exactly(_PARTS)
    at, space = features["shape"], features["transform"]
    _same(at["n_features"], shape.n_features, transform.n_features, "the number of features")
    _same(at["n_covariates"], shape.n_covariates, vocabulary.n_covariates, "the number of covariate values")
    _same(
        at["n_node_features"], shape.n_node_features, len(vocabulary.cell_types), "the number of cell types"
    )
    _same(space["features"], transform.features, config.data.features, "`data.features` of `config.json`")
    expression = config.data.expression
    _same(space["expression"], transform.expression_kind, expression, "`data.expression` of `config.json`")
    _same(
        features["vocabulary"]["covariates"],
        list(vocabulary.covariates),
        list(config.data.covariate_key),
        "`data.covariate_key` of `config.json`",
    )
    if controls := sorted(set(shape.treatments) & set(config.data.control)):
        at["treatments"].fail("treatments that are no controls", listed(controls))


def check_summaries(
    value: Plain, summaries: Summaries, config: RunConfig, shape: ModelShape, split: Split
) -> None:
    """Hold the training populations against treatments, groups and features of the model.

    Raises:
        PlainError: Naming the first that differ.
    """
    if summaries.mean.shape[1] != shape.n_features:
        value.fail(f"means of {shape.n_features} features", str(summaries.mean.shape[1]))
    if unknown := sorted(set(summaries.groups) - {*split.train, *split.val}):
        value["groups"].fail("groups that training has seen (`split` of `features.json`)", listed(unknown))
    treatments = {condition.treatment for condition in summaries.conditions if condition is not None}
    if others := sorted(treatments - set(shape.treatments)):
        value["conditions"].fail("treatments of the model (`shape` of `features.json`)", listed(others))
    width = len(config.data.sample_key)
    if any(len(sample) != width for sample in summaries.samples):
        value["samples"].fail(f"{width} values for each sample, as `data.sample_key` has", "others")


def check_weights(transform: Mapping[str, np.ndarray], needed: Mapping[str, Any]) -> None:
    """Refuse arrays of the transform that it does not have.

    Raises:
        PlainError: Naming them.
    """
    if sorted(transform) != sorted(needed):
        raise PlainError(
            f"Expected the arrays {listed(sorted(needed))} under `transform.` of `weights.safetensors`, "
            f"found {listed(sorted(transform)) or 'none'}."
        )


def _same(place: Plain, value: Any, other: Any, what: str) -> None:
    if value != other:
        place.fail(f"{what}, {other!r}")
