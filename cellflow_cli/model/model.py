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
                "shape": _shape_to_json(self.shape),
                "split": {name: list(getattr(self.split, name)) for name in ("train", "val", "test")},
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
    try:
        config = from_dict(content.config)
        shape = _shape_from_json(content.features["shape"])
        method = build_method(config, shape)
        transform = FeatureTransform.from_parts(content.features["transform"], content.transform)
        vocabulary = Vocabulary.from_json(content.features["vocabulary"])
        split = Split(**{name: tuple(groups) for name, groups in content.features["split"].items()})
        summaries = Summaries.from_parts(content.summaries, content.summary_arrays)
        history = History.from_lines(content.history.splitlines())
    except (ConfigError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"Expected a model of this version at `{folder}`, found: {error}. Train again or update."
        ) from error
    load_state(method, content.state, Path(folder))
    return Model(
        method=method.to(place).eval(), config=config, transform=transform, shape=shape,
        vocabulary=vocabulary, split=split, summaries=summaries, history=history, run=content.run,
    )  # fmt: skip


def build_method(config: RunConfig, shape: ModelShape) -> Method:
    """An untrained method with weights drawn from the seed."""
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
    }
    differences = "; ".join(f"{kind}: {listed(names)}" for kind, names in faults.items() if names)
    if differences:
        raise BundleError(
            f"Expected weights that fit the configuration in `{folder}`, found some {differences}. "
            "Copy the folder again."
        )
    method.load_state_dict(dict(state))


def _shape_to_json(shape: ModelShape) -> dict[str, Any]:
    return {
        "n_features": shape.n_features,
        "treatments": list(shape.treatments),
        "doses": {name: list(doses) for name, doses in shape.doses.items()},
        "samples": list(shape.samples),
        "n_covariates": shape.n_covariates,
        "n_node_features": shape.n_node_features,
    }


def _shape_from_json(value: Mapping[str, Any]) -> ModelShape:
    return ModelShape(
        n_features=int(value["n_features"]),
        treatments=tuple(value["treatments"]),
        doses={name: tuple(float(dose) for dose in doses) for name, doses in value["doses"].items()},
        samples=tuple(value["samples"]),
        n_covariates=int(value["n_covariates"]),
        n_node_features=int(value["n_node_features"]),
    )
