"""What happened in training, as lines."""

import pytest

from cellflow_cli.training.history import History


def test_lines_and_back():
    history = History()
    history.add(stage="train", step=10, loss=0.5)
    history.add(stage="train", step=10, validation=-0.25)
    lines = history.to_lines()
    assert len(lines.splitlines()) == 2
    assert History.from_lines(lines.splitlines()) == history


def test_no_rows_are_no_lines():
    assert History().to_lines() == ""
    assert History.from_lines([]) == History()


def test_numbers_that_json_does_not_know_are_refused():
    history = History()
    history.add(loss=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        history.to_lines()


def test_a_line_of_something_else_is_refused():
    with pytest.raises(ValueError, match="JSON object"):
        History.from_lines(["[1, 2]"])
