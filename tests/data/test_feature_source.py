import pytest

from cellflow_cli.catalog import Catalog
from cellflow_cli.data.feature_source import Matrix, named_matrix, parse_features
from cellflow_cli.errors import ConfigError
from cellflow_cli.features.pca import PCAConfig
from cellflow_cli.features.values import ValuesConfig


@pytest.mark.parametrize(
    ("text", "matrix", "space", "config"),
    [
        ("X", ("X", ""), "values", ValuesConfig()),
        ("layers/raw", ("layers", "raw"), "values", ValuesConfig()),
        ("obsm/X_pca", ("obsm", "X_pca"), "values", ValuesConfig()),
        ("pca:30", ("X", ""), "pca", PCAConfig(n_components=30)),
    ],
)
def test_a_text_names_a_matrix_and_a_space(text, matrix, space, config):
    assert parse_features(text) == (Matrix(*matrix), Catalog("features").load(space), config)


@pytest.mark.parametrize(
    "text",
    ["x", "pca", "pca:", "pca:0", "pca:-3", "pca:3.5", "layers/", "obsm", "varm/PCs", "values", "values:3"],
)
def test_other_texts_are_refused(text):
    assert named_matrix(text) is None
    message = rf"to be X, raw, layers/NAME, obsm/NAME or pca:K, found '{text}'.*--features"
    with pytest.raises(ConfigError, match=message):
        parse_features(text)


def test_the_message_says_what_a_space_takes_or_which_was_meant():
    with pytest.raises(ConfigError, match="Expected a whole number K from 1 to 10,000"):
        parse_features("pca:0")
    with pytest.raises(ConfigError, match=r"Did you mean 'pca'\?"):
        parse_features("pcs:30")


@pytest.mark.parametrize(
    ("text", "limit"), [("X", 200), ("layers/raw", 200), ("obsm/X_scvi", None), ("pca:5", None)]
)
def test_only_plain_matrices_of_all_genes_are_limited(text, limit):
    assert parse_features(text).max_genes == limit
