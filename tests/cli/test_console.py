"""In a log, progress is a line now and then that says how long it will still take."""

import pytest

from cellflow_cli.cli import console


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_ten_seconds_with_the_time_left(clock, capsys):
    with console.progress("Scoring") as report:
        for done in range(100):
            report(done, 100, f"P{done}")
            clock[0] += 4
        report(100, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Scoring 0/100, next P0"
    assert lines[1] == "Scoring 3/100, next P3; 6 min left"
    assert lines[-1] == "Scoring 99/100, next P99; 4 s left"
    assert len(lines) == 34


def test_nothing_is_said_when_quiet(clock, capsys):
    console.set_quiet(True)
    try:
        with console.progress("Scoring") as report:
            report(0, 2)
    finally:
        console.set_quiet(False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (119, "119 s"), (150, "2 min"), (3600, "60 min")])
def test_durations(seconds, said):
    assert console.duration(seconds) == said
