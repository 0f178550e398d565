"""Files that hold their values in another matrix than the training data did."""

from pathlib import Path

import anndata

from cellflow_cli.data.feature_source import in_layer, parse_features
from cellflow_cli.data.read import feature_table, read, values


def read_truth(
    path: Path | str, features: str, layer: str | None = None, *, fixed: bool = True
) -> anndata.AnnData:
    """Measured cells with the matrix that `features` needs, which `--truth-layer` names in this file.

    Args:
        path: File of measured cells.
        features: As `parse_features` takes them.
        layer: As `--truth-layer` names it.
        fixed: Whether a prediction or model has set the features, so that no option chooses others.

    Raises:
        ConfigError, DataError: As `read` and `moved`.
    """
    truth = read([path], in_layer(features, layer, "--truth-layer"))
    truth.obs.attrs["layer_option"] = "--truth-layer"
    if fixed:
        truth.obs.attrs["features_option"] = ""
    return moved(truth, features, layer)


def moved(adata: anndata.AnnData, features: str, layer: str | None) -> anndata.AnnData:
    """The same cells with the matrix of `layer` where `features` looks for it; nothing is copied.

    Args:
        adata: Not modified.
        features: Of a model.
        layer: Where the values are in `adata`: a layer, X or raw; None changes nothing.

    Raises:
        ConfigError: If the features are an entry of obsm.
        DataError: If there is no such matrix.
    """
    if layer is None:
        return adata
    at = in_layer(features, layer, adata.obs.attrs.get("layer_option", "--layer"))
    target = parse_features(features).matrix
    matrix, var = values(adata, at), feature_table(adata, at)
    new = anndata.AnnData(obs=adata.obs, var=None if target.slot == "raw" else var, uns=dict(adata.uns))
    if target.slot == "raw":
        new = anndata.AnnData(obs=adata.obs, uns=dict(adata.uns), raw={"X": matrix, "var": var})
    elif target.slot == "X":
        new.X = matrix
    else:
        new.layers[target.name] = matrix
    new.obs.attrs.update(adata.obs.attrs)
    return new
