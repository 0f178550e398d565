"""A model folder that was changed is refused, or predicts what it predicted before."""

import json
import shutil

import pytest

from tests.robustness.case import Verdict
from tests.robustness.sound import Sound
from tests.robustness.tampering import run_tampered, tampered

PARTS = 40


def failures(verdicts: list[Verdict], record_property) -> list[str]:
    for verdict in verdicts:
        record_property("robustness", f"folders|{verdict.what}")
    return [f"{v.what}, {v.case}, {v.command}: {v.why}" for v in verdicts if not v.good]


def test_folders_that_stand_for_the_rest(sound: Sound, record_property):
    chosen = tampered(sound.folder / "model")[::20]
    assert len(chosen) >= 50
    assert not (bad := failures([run_tampered(case, sound) for case in chosen], record_property)), "\n".join(
        bad
    )


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_all_folders(part, sound, record_property):
    chosen = tampered(sound.folder / "model")
    assert len(chosen) >= 800
    mine = chosen[part::PARTS]
    assert not (bad := failures([run_tampered(case, sound) for case in mine], record_property)), "\n".join(
        bad
    )


def test_a_changed_line_of_history_changes_no_prediction(sound, tmp_path):
    """The test of tests: a harmless change predicts the same, and a changed weight does not."""
    model = tmp_path / "model"
    shutil.copytree(sound.folder / "model", model)
    lines = (model / "history.jsonl").read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
