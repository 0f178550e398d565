"""Everything that is learned from, read once: population pairs in the feature space of the flow."""

from collections.abc import Collection
from dataclasses import dataclass

import anndata
import torch
from jaxtyping import Float64
from torch import Tensor

from cellflow_cli.config import RunConfig
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.profile import Profiles, profile_of
from cellflow_cli.data.tensors import PopulationReader, Vocabulary, vocabulary
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.model.plan import Plan
from cellflow_cli.types import Condition, ModelShape, PopulationPair


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingData:
    """What a training run learns from.

    Attributes:
        plan: Populations and groups.
        transform: Fitted on the groups that are learned from.
        vocabulary: Cell types and covariates.
        pairs: Of all training groups, those for validation included.
        unit: Unit of each feature in the metrics, float64, shape [d].
        profiles: Of the control populations that are learned from.
        device: Where the cells are.
    """

    plan: Plan
    transform: FeatureTransform
    vocabulary: Vocabulary
    pairs: tuple[PopulationPair, ...]
    unit: Float64[Tensor, " d"]
    profiles: Profiles
    device: torch.device

    def pairs_of(self, groups: Collection[str]) -> list[PopulationPair]:
        """Pairs of some groups."""
        return [pair for pair in self.pairs if pair.source.group in groups]

    def shape(self, conditions: Collection[Condition], samples: Collection[str]) -> ModelShape:
        """Sizes and codes of a method.

        Args:
            conditions: What it is to know, in any order.
            samples: Names of its training samples, in the order of their codes.
        """
        ordered = sorted(conditions, key=lambda c: (c.treatment, c.dose or 0.0))
        treatments = tuple(dict.fromkeys(c.treatment for c in ordered))
        doses = {
            t: tuple(c.dose for c in ordered if c.treatment == t and c.dose is not None) for t in treatments
        }
        return ModelShape(
            n_features=self.transform.n_features,
            treatments=treatments,
            doses={t: d for t, d in doses.items() if d},
            samples=tuple(samples),
            n_covariates=self.vocabulary.n_covariates,
            n_node_features=len(self.vocabulary.cell_types),
        )


def training_data(adata: anndata.AnnData, run: RunConfig, plan: Plan, device: torch.device) -> TrainingData:
    """Fit the features on the groups that are learned from, and read the populations of all training groups.

    Args:
        adata: Reads what `run.data` names; not modified.
        run: Settings.
        plan: From `plan` on the same obs.
        device: Where the cells go.

    Raises:
        ConfigError, DataError: As `fit_features` and `PopulationReader.pairs`.
    """
    learned = plan.learned_groups(run.training.refit)
    fitted = plan.table.rows_of(learned)
    transform = fit_features(adata, run.data, fitted, seed=run.seed)
    known = vocabulary(adata.obs, run.data, plan.table.rows_of(plan.training_groups))
    reader = PopulationReader(
        adata=adata, spec=run.data, transform=transform, vocabulary=known, device=device
    )
    return TrainingData(
        plan=plan,
        transform=transform,
        vocabulary=known,
        pairs=tuple(reader.pairs(plan.table, plan.training_groups)),
        unit=torch.as_tensor(transform.scale, dtype=torch.float64, device=device),
        profiles=Profiles(
            [profile_of(transform, adata, c.rows) for c in plan.table.controls if c.group in learned]
        ),
        device=device,
    )
