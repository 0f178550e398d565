"""A trained model: a method with the features, categories and summaries of its training data."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cellflow_cli._version import __version__
from cellflow_cli.baselines import Summaries
from cellflow_cli.catalog import Catalog
from cellflow_cli.config import RunConfig, from_dict, to_dict
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.split import Split
from cellflow_cli.data.tensors import Vocabulary
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.device import resolve
from cellflow_cli.errors import BundleError, ConfigError, listed
from cellflow_cli.methods import Method
from cellflow_cli.model import folder as folder_format
from cellflow_cli.model.budget import BudgetError, memory_budget, memory_bytes, stored_budget
from cellflow_cli.model.parts import (
    check_features,
    check_summaries,
    check_weights,
    shape_of,
    shape_to_json,
    split_of,
    split_to_json,
)
from cellflow_cli.plain import Plain, PlainError
from cellflow_cli.prediction import PredictionRequest, predict
from cellflow_cli.rng import scoped, stream
from cellflow_cli.training.history import History
from cellflow_cli.types import Condition, ModelShape

if TYPE_CHECKING:
    import anndata


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """A trained method and all that is needed to meet a new patient; make one with `train` or `load`.

    Attributes:
        method: The trained network, in evaluation mode.
        config: The resolved settings, with what the method was calibrated to (`method.solver.steps`).
        transform: From expression to the feature space of the flow, and back.
        shape: Treatments, doses and sizes.
        vocabulary: Cell types and covariates.
        split: Groups of the training part (`train` and `val`) and those held out (`test`).
        summaries: Training populations in short, for baselines.
        history: Logged steps.
        run: Provenance: seed, device, versions, input hashes, times.
    """

    method: Method
    config: RunConfig
    transform: FeatureTransform
    shape: ModelShape
    vocabulary: Vocabulary
    split: Split
    summaries: Summaries
    history: History = field(default_factory=History)
    run: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that change with any weight or setting."""
        return folder_format.model_id(self.method.state_dict(), to_dict(self.config))

    @property
    def spec(self) -> DataSpec:
        """What the columns of the data mean."""
        return self.config.data

    @property
    def method_name(self) -> str:
        """Catalog name of the method."""
        return self.config.method.name

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.method.parameters()).device

    @property
    def trained_groups(self) -> tuple[str, ...]:
        """Groups whose treated cells the weights or their selection have seen."""
        return tuple(sorted({*self.split.train, *self.split.val}))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Trained combinations of treatment and dose."""
        return tuple(
            Condition(treatment, dose)
            for treatment in self.shape.treatments
            for dose in (self.shape.doses.get(treatment) or (None,))
        )

    def predict(
        self,
        adata: "anndata.AnnData",
        *,
        treatments: Sequence[str] | None = None,
        doses: Sequence[float] | None = None,
        samples: str | Mapping[str, Iterable[str]] = "unseen",
        controls: bool = True,
        seed: int = 0,
    ) -> "anndata.AnnData":
        """Carry the control cells of samples to treatments; see `prediction.predict`.

        Args:
            adata: Holds control cells of one or more samples; not modified.
            treatments: Default: all that were trained.
            doses: Default: those that were trained.
            samples: `"unseen"` (groups that training never saw), `"all"`, or values by obs column.
            controls: Whether the control rows are part of the output.
            seed: Of the subsamples that the embedder sees.
        """
        request = PredictionRequest(
            treatments=treatments, doses=doses, samples=samples, controls=controls, seed=seed
        )
        return predict(self, adata, request)

    def provenance(self) -> dict[str, Any]:
        """Version, id, method and its settings, as a prediction file keeps them."""
        return {
            "version": __version__,
            "model_id": self.id,
            "method": self.method_name,
            "settings": json.dumps(to_dict(self.config.method), ensure_ascii=False),
        }

    def to(self, device: str | torch.device) -> "Model":
        """The same model with its weights on another device (moved, not copied)."""
        return replace(self, method=self.method.to(resolve(device)))

    def save(self, folder: Path | str, *, force: bool = False) -> None:
        """Write the model folder, whole or not at all.

        Raises:
            OutputError: If it exists without `force`, or cannot be written.
        """
        content = folder_format.Bundle(
            config=to_dict(self.config),
            state=self.method.state_dict(),
            transform=self.transform.arrays(),
            features={
                "transform": self.transform.to_json(),
                "vocabulary": self.vocabulary.to_json(),
                "shape": shape_to_json(self.shape),
                "split": split_to_json(self.split),
            },
            summaries=self.summaries.to_json(),
            summary_arrays=self.summaries.arrays(),
            history=self.history.to_lines(),
            run={**self.run, "model_id": self.id},
        )
        folder_format.write(Path(folder), content, version=__version__, force=force)


def load(folder: Path | str, *, device: str | torch.device = "cpu") -> Model:
    """Read a model folder.

    Args:
        folder: Written by `Model.save` or `cellflow train`.
        device: Where the weights go; a model trained on a GPU loads anywhere.

    Raises:
        BundleError: If the folder is no model, damaged, or written by a newer version.
        ConfigError: If the device is not there.
    """
    place = resolve(device)
    content = folder_format.read(Path(folder))
    features = Plain.of(content.features, "features.json")
    summaries_json = Plain.of(content.summaries, "summaries.json")
    try:
        config = from_dict(content.config)
        shape, split = shape_of(features["shape"]), split_of(features["split"])
        transform = FeatureTransform.from_parts(features["transform"], content.transform)
        check_weights(content.transform, transform.arrays())
        vocabulary = Vocabulary.from_json(features["vocabulary"])
        check_features(features, config, shape, transform, vocabulary)
        summaries = Summaries.from_parts(summaries_json, content.summary_arrays)
        check_summaries(summaries_json, summaries, config, shape, split)
        history = History.from_lines(content.history.split("\n"))
    except (ConfigError, PlainError) as error:
        raise BundleError(
            f"Expected a model of this version in `{folder}`, found a value that is none. {error} Copy the "
            "whole model folder again, or train again."
        ) from error
    method = _stored_method(config, shape, content.state, Path(folder))
    load_state(method, content.state, Path(folder))
    return Model(
        method=method.to(place).eval(), config=config, transform=transform, shape=shape,
        vocabulary=vocabulary, split=split, summaries=summaries, history=history, run=content.run,
    )  # fmt: skip


def build_method(config: RunConfig, shape: ModelShape) -> Method:
    """An untrained method with weights drawn from the seed.

    Raises:
        ConfigError: If the memory of this machine is too small for it.
    """
    try:
        with memory_budget():
            return _method(config, shape)
    except BudgetError as error:
        raise ConfigError(
            f"Expected a network that {memory_bytes() / 2**30:.0f} GB of memory can train, found sizes that "
            "need more. Lower those of `method`, such as `--set method.field.width=128`."
        ) from error


def _stored_method(config: RunConfig, shape: ModelShape, state: Mapping[str, Tensor], folder: Path) -> Method:
    n_numbers = sum(value.numel() for value in state.values())
    try:
        with stored_budget(n_numbers):
            return _method(config, shape)
    except BudgetError as error:
        raise BundleError(
            f"Expected sizes in `config.json` of `{folder}` that fit the {n_numbers:,} numbers of "
            "`weights.safetensors`, found sizes that need many more. Copy the whole model folder again."
        ) from error
    except (ConfigError, ValueError) as error:
        raise BundleError(
            f"Expected settings of a model in `config.json` of `{folder}`, found: {error} Copy the whole "
            "model folder again."
        ) from error


def _method(config: RunConfig, shape: ModelShape) -> Method:
    with scoped(stream(config.seed, "init")):
        return Catalog("methods").build(config.method, shape)


def load_state(method: Method, state: Mapping[str, Tensor], folder: Path) -> None:
    """Load weights strictly.

    Raises:
        BundleError: If names or shapes differ from those of the method.
    """
    own = method.state_dict()
    faults = {
        "missing": [name for name in own if name not in state],
        "unknown": [name for name in state if name not in own],
        "of another shape": [name for name in own if name in state and own[name].shape != state[name].shape],
        "of another type": [name for name in own if name in state and own[name].dtype != state[name].dtype],
    }
    differences = "; ".join(f"{kind}: {listed(names)}" for kind, names in faults.items() if names)
    if differences:
        raise BundleError(
            f"Expected weights that fit the configuration in `{folder}`, found some {differences}. "
            "Copy the folder again."
        )
    method.load_state_dict(dict(state))
