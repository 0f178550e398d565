"""Every broken or odd input ends as is right for it: refused and named, warned of, or with the sound output."""

import pytest

from tests.robustness.case import run
from tests.robustness.catalogue import all_cases, quick_cases


def check(case, sound, record_property):
    verdicts = list(run(case, sound))
    for verdict in verdicts:
        record_property("robustness", f"{case.kind}|{verdict.what}")
    bad = [f"{v.what}, {v.command}: {v.why}" for v in verdicts if not v.good]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("case", quick_cases(), ids=lambda case: case.id)
def test_cases_that_stand_for_their_kind(case, sound, record_property):
    check(case, sound, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_all_cases(case, sound, record_property):
    check(case, sound, record_property)


def test_there_are_enough():
    kinds = {case.kind for case in all_cases()}
    assert len(all_cases()) >= 350
    assert len(kinds) == 9
    assert 60 <= len(quick_cases()) <= 100
    assert {case.kind for case in quick_cases()} == kinds
