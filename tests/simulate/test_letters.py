import inspect
import json
from dataclasses import fields

import anndata
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from typer.testing import CliRunner

from cellflow_cli.cli import simulate as command
from cellflow_cli.cli.app import app
from cellflow_cli.errors import ConfigError, OutputError
from cellflow_cli.simulate._glyph import glyph_points
from cellflow_cli.simulate.letters import (
    LettersConfig,
    fresh_points,
    letter_points,
    populations,
    simulate_letters,
)

SMALL = LettersConfig(alphabet="ILXY", n_rotations=2, size=40)
KEYS = (
    "--treatment-key treatment --control control --sample-key population --split-key split --pairs-key pair"
)


def rectangle(pen, left, bottom, right, top):
    pen.moveTo((left, bottom))
    for corner in ((left, top), (right, top), (right, bottom)):
        pen.lineTo(corner)
    pen.closePath()


@pytest.fixture(scope="module")
def font(tmp_path_factory):
    """A font of known pixels at size 100: I is 20 x 60, L has its foot to the right, space is empty."""
    shapes = {
        "I": [(100, 0, 300, 600)],
        "L": [(100, 0, 200, 600), (200, 0, 500, 100)],
        ".": [(0, 0, 10, 10)],
        "space": [],
        ".notdef": [(0, 0, 500, 700)],
    }
    glyphs = {}
    for name, parts in shapes.items():
        pen = TTGlyphPen(None)
        for part in parts:
            rectangle(pen, *part)
        glyphs[name] = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *(name for name in shapes if name != ".notdef")])
    builder.setupCharacterMap({ord("I"): "I", ord("L"): "L", ord("."): ".", ord(" "): "space"})
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(shapes, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Planted", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path_factory.mktemp("font") / "planted.ttf"
    builder.save(path)
    return str(path)


def test_every_pixel_is_a_point_and_the_longer_side_is_six(font):
    points = glyph_points("I", 100, font)

    assert points.shape == (20 * 60, 2)
    np.testing.assert_allclose([points.min(0), points.max(0)], [[-57 / 59, -3], [57 / 59, 3]], atol=1e-12)
    # rows from the bottom, each from the left, one pixel being 6 / 59
    np.testing.assert_allclose(points[1] - points[0], [6 / 59, 0], atol=1e-12)
    np.testing.assert_allclose(points[20] - points[0], [0, 6 / 59], atol=1e-12)


def test_letters_stand_upright_and_are_not_mirrored(font):
    points = glyph_points("L", 100, font)

    assert len(points) == 10 * 60 + 30 * 10
    low, right = points[:, 1] < 0, points[:, 0] > 0
    assert (low & right).any()
    assert not (~low & right).any()


def test_the_wider_side_counts_too():
    wide = glyph_points("W")

    np.testing.assert_allclose(np.ptp(wide, axis=0)[0], 6)
    assert np.ptp(wide, axis=0)[1] < 6
    np.testing.assert_allclose(wide.min(0), -wide.max(0))


def test_the_shipped_font_has_points_as_many_as_the_published_letters():
    """Published (Arial): 720 for I to 2,655 for M, 1,760 on average; DejaVu Sans is a little bolder."""
    sizes = {letter: len(glyph_points(letter)) for letter in LettersConfig().alphabet}

    assert min(sizes, key=lambda letter: sizes[letter]) == "I"
    assert max(sizes.values()) == pytest.approx(2655, rel=0.1)
    assert min(sizes.values()) == pytest.approx(720, rel=0.15)
    assert np.mean(list(sizes.values())) == pytest.approx(1760, rel=0.03)


def test_source_and_target_are_the_stated_noise_on_the_rotated_glyph():
    config = LettersConfig(alphabet="M", validation="", test="", n_rotations=3)
    glyph = glyph_points("M")
    turns = []
    for rotation in range(3):
        x0, x1 = letter_points(config, 0, "M", rotation)
        # the orthogonal map that fits best (Kabsch); a mirrored letter would have determinant -1
        left, _, right = np.linalg.svd(glyph.T @ x1)
        turn = left @ right
        assert np.linalg.det(turn) == pytest.approx(1)
        turns.append(np.arctan2(turn[0, 1], turn[0, 0]))
        # five standard errors of a standard deviation s from 2 n values: 5 s / sqrt(4 n)
        error = 5 / np.sqrt(4 * len(glyph))
        assert (x1 - glyph @ turn).std() == pytest.approx(0.05, rel=error)
        assert (x0 - x1).std() == pytest.approx(0.5, rel=error)
        assert abs(np.corrcoef((x0 - x1).ravel(), x1.ravel())[0, 1]) < 5 / np.sqrt(2 * len(glyph))
    assert len({round(float(angle), 3) for angle in turns}) == 3
    stored = simulate_letters(config, 0).uns["truth"]["angle"]
    # 0.05 / (3 sqrt(n)) is the error of an angle fitted to n points; five of them
    np.testing.assert_allclose(np.exp(1j * np.array(turns)), np.exp(1j * stored.to_numpy()), atol=0.002)


def test_angles_are_spread_over_the_whole_circle():
    config = LettersConfig(alphabet="I", validation="", test="", n_rotations=99, size=8)
    angles = simulate_letters(config, 0).uns["truth"]["angle"]

    counts, _ = np.histogram(angles, bins=4, range=(0, 2 * np.pi))
    assert counts.sum() == 99
    # binomial, n = 99, p = 1/4: mean 24.75, standard deviation 4.3
    assert np.abs(counts - 24.75).max() < 4 * 4.3


def test_fresh_points_are_the_same_letter_in_other_draws():
    glyph = glyph_points("X", SMALL.size)
    _, target = letter_points(SMALL, 0, "X", 1)
    again = fresh_points(SMALL, 0, "X", 1, resampled=False)
    sample = fresh_points(SMALL, 0, "X", 1)

    assert sample.shape == again.shape == target.shape == glyph.shape
    # two independent jitters of 0.05: their difference has sqrt(2) 0.05
    assert (again - target).std() == pytest.approx(0.05 * np.sqrt(2), rel=5 / np.sqrt(4 * len(glyph)))
    assert np.abs(sample - target).max() > 1
    np.testing.assert_array_equal(sample, fresh_points(SMALL, 0, "X", 1))


def test_columns_are_those_of_the_published_benchmark():
    adata = simulate_letters(SMALL, 0)
    obs = adata.obs

    assert adata.X.dtype == np.float32
    assert list(adata.var_names) == ["x", "y"]
    assert adata.obs_names.is_unique
    assert list(obs.columns) == ["population", "letter", "split", "treatment", "pair", "train_eval"]
    assert tuple(obs["population"].unique()) == populations(SMALL)
    splits = obs.groupby("letter", observed=True)["split"].unique().map(list).to_dict()
    assert splits == {"I": ["train"], "L": ["train"], "X": ["val"], "Y": ["test"]}
    assert sorted(obs.loc[obs["train_eval"], "population"].unique()) == ["I-00", "I-01", "L-00", "L-01"]
    cells = obs.groupby(["population", "treatment"], observed=True)
    assert (cells.size().unstack().nunique(axis=1) == 1).all()
    assert (cells["pair"].apply(lambda pair: pair.tolist() == list(range(len(pair))))).all()


def test_pairs_join_a_point_with_its_own_pixel():
    adata = simulate_letters(SMALL, 3)
    x0, x1 = letter_points(SMALL, 3, "Y", 1)
    of = adata[adata.obs["population"] == "Y-01"]

    np.testing.assert_allclose(of.X[of.obs["treatment"] == "control"], x0, atol=1e-6)
    np.testing.assert_allclose(of.X[of.obs["treatment"] == "denoised"], x1, atol=1e-6)


def test_ten_training_populations_of_ten_letters_are_scored():
    config = LettersConfig(n_rotations=2, size=8)
    scored = simulate_letters(config, 0).obs.query("train_eval")

    assert sorted(scored["population"].unique()) == [f"{letter}-00" for letter in "ABCDEFGHIJ"]


def test_a_letter_is_the_same_in_any_alphabet_and_differs_with_the_seed():
    whole = simulate_letters(SMALL, 0)
    one = simulate_letters(LettersConfig(alphabet="L", validation="", test="", n_rotations=1, size=40), 0)

    np.testing.assert_array_equal(one.X, whole[whole.obs["population"] == "L-00"].X)
    assert not np.array_equal(whole.X, simulate_letters(SMALL, 1).X)
    origin = json.loads(whole.uns["simulation"])
    assert origin["seed"] == 0
    assert origin["config"]["font"] == "DejaVuSans.ttf"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alphabet": ""}, "`alphabet` to be at least one letter"),
        ({"alphabet": "AXYA"}, "each letter of `alphabet` once, found 'A' repeated"),
        ({"alphabet": "ABX"}, "letters of `test` to be in the alphabet 'ABX', found 'Y'"),
        ({"validation": "é"}, "letters of `validation`.*found 'é'"),
        ({"validation": "YX"}, "either `validation` or `test`, found 'Y' in both"),
        ({"n_rotations": 0}, "`n_rotations` to be between 1 and 99, found 0"),
        ({"size": 2000}, "`size`"),
    ],
)
def test_settings_that_describe_no_problem_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        LettersConfig(**settings)


def test_an_empty_or_missing_glyph_is_named(font):
    with pytest.raises(ConfigError, match="at least two pixels for ' ', found 0 in the font `planted.ttf`"):
        glyph_points(" ", 100, font)
    with pytest.raises(ConfigError, match="at least two pixels for '.', found 1"):
        glyph_points(".", 100, font)
    with pytest.raises(ConfigError, match="`planted.ttf` to have the character 'Ж', found no glyph"):
        glyph_points("Ж", 100, font)


def test_a_font_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"found none at `DejaVuSans.ttf`. Choose it with `--font`"):
        glyph_points("A", 100, "DejaVuSans.ttf")
    (tmp_path / "text.ttf").write_text("not a font")
    with pytest.raises(ConfigError, match=r"text.ttf` to be a TrueType or OpenType font"):
        glyph_points("A", 100, str(tmp_path / "text.ttf"))


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_the_file_is_read_by_the_ordinary_commands(tmp_path, font):
    target = tmp_path / "letters.h5ad"
    result = run(
        "simulate", "letters", "-o", target, "--font", font, "--alphabet", "IL", "--validation", "",
        "--test", "L", "--rotations", 3, "--size", 30, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["populations"] == ["I-00", "I-01", "I-02", "L-00", "L-01", "L-02"]
    assert found["n_cells"] == anndata.read_h5ad(target).n_obs

    for group in ([], ["--group-key", "letter"]):
        result = run("check", target, *KEYS.split(), *group)
        assert result.exit_code == 0, result.output
        assert "Training can start: 0 error(s)" in result.stderr


def test_same_command_same_bytes(tmp_path):
    for name in ("a.h5ad", "b.h5ad"):
        run("simulate", "letters", "-o", tmp_path / name, "--alphabet", "XYZ", "--size", 12, "--seed", 5)

    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--alphabet", "0123456789"], ConfigError.exit_code, "--validation ''"),
        (["--alphabet", "A B", "--validation", "", "--test", ""], ConfigError.exit_code, "' '"),
        (["--font", "nowhere.ttf"], ConfigError.exit_code, "nowhere.ttf"),
        (["-o", "/dev/null/letters.h5ad"], OutputError.exit_code, "letters.h5ad"),
    ],
)
def test_bad_options_end_with_a_message_and_no_file(tmp_path, args, code, message):
    result = run("simulate", "letters", "-o", tmp_path / "letters.h5ad", *args)

    assert result.exit_code == code
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_defaults_of_the_command_are_those_of_the_config():
    """Help must not load AnnData, so the defaults stand twice; here they are held together."""
    known = {field.name: field.default for field in fields(LettersConfig)}
    given = inspect.signature(command.letters).parameters
    for name, default in known.items():
        assert given[name.removeprefix("n_")].default == default
    assert all(field.metadata["help"] for field in fields(LettersConfig))


def test_blur_is_of_the_seed_and_has_nothing_to_do_with_the_jitter():
    """x0 - x1 is the blur; x1 less the same pixels with fresh jitter holds the jitter of the file."""
    blurs = []
    for seed in (0, 1):
        source, target = letter_points(SMALL, seed, "L", 0)
        blurs.append(source - target)
    jitter = letter_points(SMALL, 1, "L", 0)[1] - fresh_points(SMALL, 1, "L", 0, resampled=False)
    assert not np.allclose(blurs[0][:100], blurs[1][:100])
    assert (
        abs(np.corrcoef(blurs[1].ravel(), jitter.ravel())[0, 1]) < 0.15
    )  # of 800 numbers: four standard errors
