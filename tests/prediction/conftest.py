"""The trained models of the tests of the room `model`."""

from tests.model.conftest import cohort, counts, model, pca_model

__all__ = ["cohort", "counts", "model", "pca_model"]
