"""The prediction file: what is kept where, its one reader, and what it says of itself.

    X                       expression of every cell (values of the markers, or log1p of the genes), float32
    layers["control"]       the control cell that each predicted cell was made from; NaN where there is none
    layers["counts"]        counts of the control rows, where the input was counts
    obsm[features.obsm_key] features of the flow where they are not X itself (`X_pca`); varm has their axes
    obs                     the columns of samples, treatment and dose, `cellflow_is_predicted`,
                            `cellflow_source_cell`
    uns["cellflow"]         version, model, seed, solver, data specification, feature transform, summaries of
                            the training populations, warnings

`write.py` writes it; predictions of other tools are brought into the same form by the room `external`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import anndata
import numpy as np
import pandas as pd

from cellflow_cli.baselines import Summaries
from cellflow_cli.data.blocks import dense
from cellflow_cli.data.columns import texts, where
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import CellflowError, DataError, listed
from cellflow_cli.prediction.flags import PREDICTED, predicted_flags

KEY = "cellflow"
"""Entry of uns that says where a prediction comes from."""
SOURCE_CELL = "cellflow_source_cell"
"""Column of obs with the name of the control cell that a cell was made from; empty where there is none."""
CONTROL = "control"
"""Layer with the control cell that a cell was made from."""
OTHER_TOOL = "another tool"
"""What a file names as its method where it was not written by `cellflow predict`."""
_NUMBERS = {"seed": int, "fraction_clipped": float}
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    CellflowError,
)
"""What reading text and arrays that somebody has changed may raise."""
_FACTS = ("version", "model", "model_id", "method", "seed", "population", "fraction_clipped")


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictionFile:
    """A prediction with what it says of itself.

    Attributes:
        adata: The cells.
        spec: What the columns mean.
        transform: From genes or markers to the features of the flow and back; None if the file lacks it.
        summaries: Means and spreads of the training populations; None if the file lacks them.
        train_groups: Groups that the model was trained on.
        warnings: What the file says against itself.
        facts: Version, model, method, seed and clipped values, as far as they are known.
    """

    adata: anndata.AnnData
    spec: DataSpec
    transform: FeatureTransform | None
    summaries: Summaries | None
    train_groups: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: dict[str, Any]

    @classmethod
    def read(cls, predicted: anndata.AnnData) -> "PredictionFile":
        """Read `uns["cellflow"]` of a prediction.

        Raises:
            DataError: If the file was not written by `cellflow predict`, or by a newer version.
        """
        place = where(predicted.obs)
        uns = predicted.uns.get(KEY)
        if not isinstance(uns, Mapping) or "spec" not in uns or PREDICTED not in predicted.obs:
            missing = "neither" if uns is None else "not both of them whole"
            raise DataError(
                f"Expected a prediction with `uns[{KEY!r}]` and `obs[{PREDICTED!r}]`, found {missing}."
                f"{place} Write it with `cellflow predict`; the prediction comes first, the truth second. "
                "For another tool's, name its columns to `evaluate`: `--treatment-key`, `--control` "
                "and `--sample-key`; `export` takes predictions of cellflow."
            )
        predicted_flags(predicted.obs)
        try:
            return cls(
                adata=predicted,
                spec=_spec(uns["spec"]),
                transform=_part(uns, "transform", FeatureTransform.from_parts),
                summaries=_part(uns, "summaries", Summaries.from_parts),
                train_groups=_texts(uns.get("train_groups", ())),
                warnings=_texts(uns.get("warnings", ())),
                facts=_facts(uns),
            )
        except _DAMAGED as error:
            raise DataError(
                f"Expected `uns[{KEY!r}]` as this version of cellflow writes it, found something else "
                f"({error}).{place} Predict again, or update cellflow-cli."
            ) from error

    def with_model(self, transform: FeatureTransform | None, summaries: Summaries | None) -> "PredictionFile":
        """The same with the parts of the model that made it, where they are at hand."""
        return replace(self, transform=transform or self.transform, summaries=summaries or self.summaries)

    @property
    def features(self) -> FeatureTransform:
        """The transform.

        Raises:
            DataError: If the file lacks it.
        """
        if self.transform is None:
            raise DataError(
                "Expected a transform in the prediction, found none. Name the model with `--model`, or "
                "predict again."
            )
        return self.transform

    @property
    def seed(self) -> int:
        """Seed of the prediction."""
        return int(self.facts.get("seed", 0))

    @property
    def context(self) -> str:
        """Population that the model was conditioned on: the sample's `own`, an `other` one, the `average`."""
        return str(self.facts.get("population", "own"))

    def expression(self, rows: np.ndarray) -> np.ndarray:
        """Genes or markers of some cells, float32, shape [n, g]."""
        return _rows_of(self.adata.X, rows)

    def flow(self, rows: np.ndarray) -> np.ndarray:
        """Features of the flow of some cells, float32, shape [n, d]."""
        key = self.features.obsm_key
        return self.expression(rows) if key is None else _rows_of(self.adata.obsm[key], rows)

    def source_cells(self, rows: np.ndarray) -> np.ndarray:
        """Name of the control cell that each cell was made from, shape [n]; empty where there is none."""
        if SOURCE_CELL not in self.adata.obs:
            return np.full(len(rows), "", dtype=object)
        return texts(self.adata.obs[SOURCE_CELL].iloc[rows])

    def check_features(self) -> None:
        """Whether the columns are the features of the transform in its order.

        Raises:
            DataError: If they are others, or the features of the flow are missing.
        """
        names, genes = [str(name) for name in self.adata.var_names], list(self.features.genes)
        place, key = where(self.adata.obs), self.features.obsm_key
        if self.adata.X is None:
            raise DataError(f"Expected the predicted cells in `X`, found none.{place} Predict again.")
        if names != genes and sorted(names) == sorted(genes):
            raise DataError(
                f"Expected the features of the model in its order, {listed(genes, 3)}, found all of them in "
                f"another, {listed(names, 3)}.{place} Predict again, or put the columns back in order."
            )
        if names != genes:
            raise DataError(
                f"Expected the {len(genes)} features of the model in the prediction, {listed(genes, 3)}, "
                f"found {len(names)}: {listed(names, 3)}.{place} Predict again."
            )
        if key is not None and key not in self.adata.obsm:
            raise DataError(
                f"Expected `obsm[{key!r}]` in the prediction, found {listed(self.adata.obsm) or 'none'}."
                f"{place} Predict again."
            )
        if key is not None and (shape := np.shape(self.adata.obsm[key])[1:]) != (self.features.n_features,):
            raise DataError(
                f"Expected {self.features.n_features} columns in `obsm[{key!r}]` of the prediction, found "
                f"{' by '.join(map(str, shape)) or 'none'}.{place} Predict again."
            )


def is_prediction(adata: anndata.AnnData) -> bool:
    """Whether a file bears any mark of `cellflow predict`; one of another tool has none."""
    return KEY in adata.uns or PREDICTED in adata.obs


def provenance(
    spec: DataSpec,
    transform: FeatureTransform,
    summaries: Summaries | None,
    warnings: Sequence[str],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """`uns["cellflow"]`, as `PredictionFile.read` reads it.

    Args:
        spec: What the columns mean.
        transform: Of the model.
        summaries: Of the training populations, if they are known.
        warnings: Remarks that belong beside the cells.
        facts: What else is known of the prediction: plain values.
    """
    uns = {
        "spec": json.dumps(asdict(spec), ensure_ascii=False),
        "transform_json": json.dumps(transform.to_json(), ensure_ascii=False),
        "transform": dict(transform.arrays()),
        "warnings": np.array(list(warnings), dtype=object),
        **facts,
    }
    if summaries is not None:
        uns["summaries_json"] = json.dumps(summaries.to_json(), ensure_ascii=False)
        uns["summaries"] = summaries.arrays()
    return uns


def in_memory(
    obs: pd.DataFrame, expression: np.ndarray, flow: np.ndarray, transform: FeatureTransform
) -> anndata.AnnData:
    """Cells in the layout of a prediction, without `uns` and layers.

    Args:
        obs: With the columns of samples and treatments, and `cellflow_is_predicted`.
        expression: Genes or markers, shape [n, g].
        flow: Features of the flow, shape [n, d].
        transform: Names both.
    """
    key = transform.obsm_key
    return anndata.AnnData(
        X=expression,
        obs=obs,
        var=pd.DataFrame(index=pd.Index(transform.genes, dtype=object)),
        obsm={} if key is None else {key: flow},
    )


def _rows_of(matrix: Any, rows: np.ndarray) -> np.ndarray:
    ascending, back = np.unique(rows, return_inverse=True)  # files on disk are read in ascending order
    return np.asarray(dense(matrix[ascending]), dtype=np.float32)[back]


def _part(uns: Mapping[str, Any], name: str, from_parts: Any) -> Any:
    if f"{name}_json" not in uns:
        return None
    return from_parts(json.loads(str(uns[f"{name}_json"])), dict(uns.get(name, {})))


def _spec(text: Any) -> DataSpec:
    settings = json.loads(str(text))
    if not isinstance(settings, dict):
        raise ValueError(f"a {type(settings).__name__} for `spec`")
    return DataSpec(**settings)


def _texts(values: Any) -> tuple[str, ...]:
    """A list of text, of which some writers make a single text."""
    if isinstance(values, str):
        return (values,)
    return tuple(str(value) for value in np.atleast_1d(np.asarray(values, dtype=object)))


def _facts(uns: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: _plain(uns[name]) for name in _FACTS if name in uns}
    return facts | {name: kind(facts[name]) for name, kind in _NUMBERS.items() if name in facts}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
