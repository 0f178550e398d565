"""What a prediction file says of itself: data specification, transform, training summaries."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anndata

from cellflow_cli.baselines import Summaries
from cellflow_cli.data.columns import where
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import CellflowError, DataError

KEY = "cellflow"
PREDICTED = "cellflow_is_predicted"
"""Column of obs that is true for predicted cells, false for controls."""
_FACTS = ("version", "model", "model_id", "method", "seed", "fraction_clipped")


@dataclass(frozen=True, eq=False, kw_only=True)
class Provenance:
    """Content of `uns["cellflow"]` of a prediction.

    Attributes:
        spec: What the columns mean.
        transform: From genes or markers to the features of the flow and back; None if the file lacks it.
        summaries: Means and spreads of the training populations; None if the file lacks them.
        train_groups: Groups that the model was trained on.
        warnings: What the file says against itself.
        facts: Version, model, method, seed and clipped values, as far as the file tells.
    """

    spec: DataSpec
    transform: FeatureTransform | None
    summaries: Summaries | None
    train_groups: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: dict[str, Any]


def read_provenance(predicted: anndata.AnnData) -> Provenance:
    """Read `uns["cellflow"]` of a prediction.

    Raises:
        DataError: If the file was not written by `cellflow predict`, or by a newer version.
    """
    place = where(predicted.obs)
    uns = predicted.uns.get(KEY)
    if not isinstance(uns, Mapping) or "spec" not in uns or PREDICTED not in predicted.obs:
        found = "neither" if uns is None else "not both of them whole"
        raise DataError(
            f"Expected a prediction with `uns[{KEY!r}]` and `obs[{PREDICTED!r}]`, found {found}."
            f"{place} Write it with `cellflow predict`; the prediction comes first, the truth second. For "
            "another tool's, tell `evaluate` what its columns mean: `--treatment-key`, `--control` and "
            "`--sample-key`; `export` takes predictions of cellflow."
        )
    try:
        return Provenance(
            spec=DataSpec(**json.loads(str(uns["spec"]))),
            transform=_part(uns, "transform", FeatureTransform.from_parts),
            summaries=_part(uns, "summaries", Summaries.from_parts),
            train_groups=tuple(str(group) for group in uns.get("train_groups", ())),
            warnings=tuple(str(warning) for warning in uns.get("warnings", ())),
            facts={name: _plain(uns[name]) for name in _FACTS if name in uns},
        )
    except (TypeError, ValueError, KeyError, CellflowError) as error:
        raise DataError(
            f"Expected `uns[{KEY!r}]` as this version of cellflow writes it, found something else "
            f"({error}).{place} Predict again, or update cellflow-cli."
        ) from error


def _part(uns: Mapping[str, Any], name: str, from_parts: Any) -> Any:
    if f"{name}_json" not in uns:
        return None
    return from_parts(json.loads(str(uns[f"{name}_json"])), dict(uns.get(name, {})))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
