"""A run that is killed while it replaces an output loses nothing, and the next run cleans up."""

import pytest

from tests.robustness.kills import COMMANDS, Kill, kills, run_kills

PARTS = 10


def check(chosen, sound, record_property):
    verdicts = [verdict for _, verdict in run_kills(chosen, sound)]
    for verdict in verdicts:
        record_property("robustness", f"kills|{verdict.what}")
    bad = [f"{v.what}, {v.case}: {v.why}" for v in verdicts if not v.good]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("command", ["train", "predict"])
def test_a_kill_between_two_renames(command, sound, record_property):
    check([Kill(command, 0, (4, False), 0.5)], sound, record_property)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_kills(part, sound, record_property):
    chosen = kills(100)
    assert {kill.command for kill in chosen} == set(COMMANDS)
    check(chosen[part * 10 : part * 10 + 10], sound, record_property)
