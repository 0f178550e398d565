"""Arms from names and from a file."""

from dataclasses import replace

import pytest

from cellflow_cli.errors import ConfigError
from cellflow_cli.study.arms import arms_of_methods, check_arms, read_arms, slug


def write(tmp_path, text):
    path = tmp_path / "arms.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_of_an_arm_win_over_the_common_ones(tmp_path, common):
    path = write(
        tmp_path,
        '[fm]\nmethod = "fm"\n\n["mfm, mean"]\nmethod.name = "mfm"\nmethod.embedder.name = "mean"\n'
        "training.steps = 7\n",
    )
    first, second = read_arms(path, common)
    assert (first.name, first.config.method.name, first.config.training.steps) == ("fm", "fm", 4)
    assert second.config.method.config.embedder.name == "mean"
    assert (second.config.training.steps, second.config.training.validate_every) == (7, 2)
    assert second.slug == "mfm-mean"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fm = 3\n", "Expected a table for each arm"),
        ("[fm]\nseed = 3\n", "found 'seed'"),
        ("[fm]\ndata.control = 'x'\n", "found 'data'"),
        ("[fm]\nmethod = 'fmm'\n", "In the arm 'fm'.*Did you mean"),
        ("[fm]\ntraining.stepz = 3\n", "In the arm 'fm'.*training.stepz"),
    ],
)
def test_bad_arms_are_refused(tmp_path, common, text, message):
    with pytest.raises(ConfigError, match=message):
        read_arms(write(tmp_path, text), common)


def test_unknown_methods_are_refused(common):
    with pytest.raises(ConfigError, match="Did you mean"):
        arms_of_methods(["mfn"], common)


WIDE = {"field": {"width": 64}, "coupling": "independent", "embedder": {"name": "mean"}}


def test_settings_of_one_method_are_carried_to_those_that_have_them_too(tmp_path, common):
    common["method"] = {"name": "mfm", **WIDE}
    mfm, fm, cellot = arms_of_methods(["mfm", "fm", "cellot"], common)
    (named,) = read_arms(write(tmp_path, '[narrow]\nmethod.name = "fm"\nmethod.field.n_blocks = 3\n'), common)
    for arm in (mfm, fm, named):
        assert (arm.config.method.config.field.width, arm.config.method.config.coupling.name) == (
            64, "independent",
        )  # fmt: skip
    assert mfm.config.method.config.embedder.name == "mean"
    assert named.config.method.config.field.n_blocks == 3
    assert cellot.config.method.name == "cellot"
    assert [arm.left_out for arm in (mfm, fm, cellot, named)] == [
        (), ("method.embedder",), ("method.field", "method.coupling", "method.embedder"),
        ("method.embedder",),
    ]  # fmt: skip


def test_settings_without_a_name_are_carried_too_and_slips_are_refused(common):
    (fm,) = arms_of_methods(["fm"], {**common, "method": WIDE})
    assert (fm.config.method.config.field.width, fm.left_out) == (64, ("method.embedder",))
    with pytest.raises(ConfigError, match=r"method\.feild"):
        arms_of_methods(["fm"], {**common, "method": {"name": "mfm", "feild": {"width": 64}}})


def test_arms_must_differ(common):
    arm = arms_of_methods(["fm"], common)
    with pytest.raises(ConfigError, match="different names"):
        check_arms(arm * 2)
    with pytest.raises(ConfigError, match="than the row 'ridge'"):
        check_arms([replace(arm[0], name="ridge")])
    with pytest.raises(ConfigError, match="found none"):
        check_arms([])


def test_a_slug_is_a_safe_folder_name():
    assert slug("MFM w/N, k=10") == "mfm-w-n-k-10"
    assert slug("../..") == ""


def test_names_that_are_no_folders_are_refused(common):
    arm = arms_of_methods(["fm"], common)[0]
    with pytest.raises(ConfigError, match="at most 100 letters .* found one of 250"):
        check_arms([replace(arm, name="x" * 250)])
