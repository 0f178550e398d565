"""The toy prediction and truth of the evaluation tests."""

from tests.evaluation.conftest import fresh, predict, rows_of, truth

__all__ = ["fresh", "predict", "rows_of", "truth"]
