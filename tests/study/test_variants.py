"""Variants from names and from a file."""

from dataclasses import replace

import pytest

from cellflow_cli.errors import ConfigError
from cellflow_cli.study.variants import check_variants, read_variants, slug, variants_of_methods


def write(tmp_path, text):
    path = tmp_path / "variants.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_of_an_variant_win_over_the_common_ones(tmp_path, common):
    path = write(
        tmp_path,
        '[fm]\nmethod = "fm"\n\n["mfm, mean"]\nmethod.name = "mfm"\nmethod.embedder.name = "mean"\n'
        "training.steps = 7\n",
    )
    first, second = read_variants(path, common)
    assert (first.name, first.config.method.name, first.config.training.steps) == ("fm", "fm", 4)
    assert second.config.method.config.embedder.name == "mean"
    assert (second.config.training.steps, second.config.training.validate_every) == (7, 2)
    assert second.slug == "mfm-mean"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fm = 3\n", "Expected a table for each variant"),
        ("[fm]\nseed = 3\n", "found 'seed'"),
        ("[fm]\ndata.control = 'x'\n", "found 'data'"),
        ("[fm]\nmethod = 'fmm'\n", "In the variant 'fm'.*Did you mean"),
        ("[fm]\ntraining.stepz = 3\n", "In the variant 'fm'.*training.stepz"),
    ],
)
def test_bad_variants_are_refused(tmp_path, common, text, message):
    with pytest.raises(ConfigError, match=message):
        read_variants(write(tmp_path, text), common)


def test_unknown_methods_are_refused(common):
    with pytest.raises(ConfigError, match="Did you mean"):
        variants_of_methods(["mfn"], common)


WIDE = {"field": {"width": 64}, "coupling": "independent", "embedder": {"name": "mean"}}


def test_settings_of_one_method_are_carried_to_those_that_have_them_too(tmp_path, common):
    common["method"] = {"name": "mfm", **WIDE}
    mfm, fm, cellot = variants_of_methods(["mfm", "fm", "cellot"], common)
    (named,) = read_variants(
        write(tmp_path, '[narrow]\nmethod.name = "fm"\nmethod.field.n_blocks = 3\n'), common
    )
    for variant in (mfm, fm, named):
        assert (variant.config.method.config.field.width, variant.config.method.config.coupling.name) == (
            64, "independent",
        )  # fmt: skip
    assert mfm.config.method.config.embedder.name == "mean"
    assert named.config.method.config.field.n_blocks == 3
    assert cellot.config.method.name == "cellot"
    assert [variant.ignored for variant in (mfm, fm, cellot, named)] == [
        (), ("method.embedder",), ("method.field", "method.coupling", "method.embedder"),
        ("method.embedder",),
    ]  # fmt: skip


def test_settings_without_a_name_are_carried_too_and_slips_are_refused(common):
    (fm,) = variants_of_methods(["fm"], {**common, "method": WIDE})
    assert (fm.config.method.config.field.width, fm.ignored) == (64, ("method.embedder",))
    with pytest.raises(ConfigError, match=r"method\.feild"):
        variants_of_methods(["fm"], {**common, "method": {"name": "mfm", "feild": {"width": 64}}})


def test_variants_must_differ(common):
    variant = variants_of_methods(["fm"], common)
    with pytest.raises(ConfigError, match="different names"):
        check_variants(variant * 2)
    with pytest.raises(ConfigError, match="than the predictor 'ridge'"):
        check_variants([replace(variant[0], name="ridge")])
    with pytest.raises(ConfigError, match="found none"):
        check_variants([])


def test_a_slug_is_a_safe_folder_name():
    assert slug("MFM w/N, k=10") == "mfm-w-n-k-10"
    assert slug("../..") == ""


def test_names_that_are_no_folders_are_refused(common):
    variant = variants_of_methods(["fm"], common)[0]
    with pytest.raises(ConfigError, match="at most 100 letters .* found one of 250"):
        check_variants([replace(variant, name="x" * 250)])
