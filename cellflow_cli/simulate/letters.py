r"""Letters: blurred glyphs and the glyphs they came from, so that a population is a shape to be recognised.

Everything is simulated. A population is one letter of an alphabet in one rotation; with P the pixels of
its glyph, R a rotation by a uniform angle and e, z ~ N(0, I) for each pixel,

    x1 = R (P + 0.05 e)        the target, treatment "denoised"
    x0 = x1 + 0.5 z            the source, treatment "control"

and `obs["pair"]` keeps which x0 came from which x1. Where a point has to go depends on the whole letter.

*Glyph.* The letter is drawn at `size` pixels per em. Every pixel that the outline touches is a point
(any coverage above zero), at the centre of the pixel. Points are listed row by row from the bottom, each
row from the left, in a frame with x to the right and y up. The bounding box is centred at zero and its
longer side scaled to [-3, 3], the shorter one by the same factor. No glyph is mirrored.

*Columns.* A population such as `A-03` is a sample; the letter is what to hold out. To read the file:

    --treatment-key treatment --control control --sample-key population --group-key letter
    --split-key split --pairs-key pair

where `--group-key` may be left out: the split is constant within a letter and within a population.

Source: Atanackovic et al. (2025), Meta Flow Matching, the letters (Arial, X for validation, Y for testing,
ten rotations of each).
Differs: the font is one that ships with matplotlib, since Arial may not be passed on; on other fonts use
`font`. FreeType hints outlines, so another version of it may move a pixel at an edge.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow_cli.errors import ConfigError, listed
from cellflow_cli.rng import derived_seed
from cellflow_cli.simulate._glyph import font_path, glyph_points

CONTROL, DENOISED = "control", "denoised"
JITTER, BLUR = 0.05, 0.5
N_SCORED = 10  # training populations that the paper scores


@dataclass(frozen=True, kw_only=True)
class LettersConfig:
    """Which letters, in which font, how often.

    Raises:
        ConfigError: If the sizes, or the three sets of letters, describe no problem.
    """

    alphabet: str = field(
        default="ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        metadata={"help": "Letters, digits or other characters, each once."},
    )
    validation: str = field(default="X", metadata={"help": "Letters of the alphabet that pick the model."})
    test: str = field(default="Y", metadata={"help": "Letters of the alphabet that training never sees."})
    n_rotations: int = field(default=10, metadata={"help": "Populations of each letter."})
    size: int = field(default=100, metadata={"help": "Pixels per em; points grow with its square."})
    font: str | None = field(
        default=None, metadata={"help": "TrueType or OpenType file; default: DejaVu Sans of matplotlib."}
    )

    def __post_init__(self) -> None:
        rules = (
            ("n_rotations", 1 <= self.n_rotations <= 99, "between 1 and 99"),
            ("size", 8 <= self.size <= 400, "between 8 and 400"),
            ("alphabet", len(self.alphabet) > 0, "at least one letter"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise ConfigError(f"Expected `{name}` to be {expected}, found {getattr(self, name)!r}.")
        for name in ("alphabet", "validation", "test"):
            letters = getattr(self, name)
            if twice := sorted({letter for letter in letters if letters.count(letter) > 1}):
                raise ConfigError(f"Expected each letter of `{name}` once, found {listed(twice)} repeated.")
        self._check_split()

    def _check_split(self) -> None:
        for name in ("validation", "test"):
            if strangers := [letter for letter in getattr(self, name) if letter not in self.alphabet]:
                raise ConfigError(
                    f"Expected the letters of `{name}` to be in the alphabet {self.alphabet!r}, found "
                    f"{listed(strangers)}. Choose others with `--{name}`, or none: `--{name} ''`."
                )
        if both := sorted(set(self.validation) & set(self.test)):
            raise ConfigError(
                f"Expected letters of either `validation` or `test`, found {listed(both)} in both."
            )


def populations(config: LettersConfig) -> tuple[str, ...]:
    """Names of the populations, letter by letter: `A-00`, `A-01` and so on."""
    return tuple(_name(letter, rotation) for letter, rotation in _members(config))


def letter_points(
    config: LettersConfig, seed: int, letter: str, rotation: int
) -> tuple[np.ndarray, np.ndarray]:
    """Source and target points of one population, row by row the same pixel.

    The draws depend on the seed, the letter and the rotation, not on the rest of the alphabet.

    Returns:
        x0 and x1, float64, shapes [n, 2] and [n, 2].
    """
    target = _rotated(config, seed, letter, rotation, "file")
    noise = _generator(seed, "blur", letter, rotation).standard_normal(target.shape)
    return target + BLUR * noise, target


def fresh_points(
    config: LettersConfig, seed: int, letter: str, rotation: int, *, resampled: bool = True
) -> np.ndarray:
    """The oracle: as many new target points of one population; none of them is in the file.

    Args:
        config: Letters and font.
        seed: That of the file.
        letter: A letter of the alphabet.
        rotation: From 0.
        resampled: Draw the pixels at random, with replacement; otherwise each pixel again, with new jitter.

    Returns:
        Points, float64, shape [n, 2].
    """
    return _rotated(config, seed, letter, rotation, "oracle", resampled)


def simulate_letters(config: LettersConfig, seed: int) -> AnnData:
    """All populations, source and target.

    Args:
        config: Letters, font and rotations.
        seed: Enters every draw, through a stream of its own for each letter and rotation.

    Returns:
        AnnData with `X` float32 (columns `x` and `y`); `obs["population" | "letter" | "split" |
        "treatment" | "pair" | "train_eval"]`, split being train, val or test and `train_eval` marking ten
        training populations to score (of as many letters as there are); `uns["source"]`,
        `uns["simulation"]` (config, seed, font and the hash of its file as text) and `uns["truth"]` (the
        angle in radians and the number of points, a row per population).

    Raises:
        ConfigError: If the font cannot be read, or lacks a letter.
    """
    scored = _scored(config)
    values, columns, truth = [], [], {}
    for letter, rotation in _members(config):
        name, split = _name(letter, rotation), _split(config, letter)
        source, target = letter_points(config, seed, letter, rotation)
        truth[name] = {"angle": _angle(seed, letter, rotation), "n_points": len(source)}
        for label, points in ((CONTROL, source), (DENOISED, target)):
            values.append(points.astype(np.float32))
            columns.append(_labels(name, letter, split, label, len(points), name in scored))
    obs = pd.concat(columns)
    for column in ("population", "letter", "split", "treatment"):
        obs[column] = pd.Categorical(obs[column])
    whole = AnnData(np.concatenate(values), obs=obs, var=pd.DataFrame(index=["x", "y"]))
    whole.uns["source"] = "Simulated, not measured: written by `cellflow simulate letters`."
    whole.uns["simulation"] = json.dumps(_origin(config, seed), ensure_ascii=False)
    whole.uns["truth"] = pd.DataFrame.from_dict(truth, orient="index")
    return whole


def _rotated(
    config: LettersConfig, seed: int, letter: str, rotation: int, draw: str, resampled: bool = False
) -> np.ndarray:
    pixels = glyph_points(letter, config.size, config.font)
    rng = _generator(seed, "jitter", letter, rotation, draw)
    if resampled:
        pixels = pixels[rng.integers(len(pixels), size=len(pixels))]
    angle = _angle(seed, letter, rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (pixels + JITTER * rng.standard_normal(pixels.shape)) @ turn.T


def _angle(seed: int, letter: str, rotation: int) -> float:
    return float(_generator(seed, "angle", letter, rotation).uniform(0, 2 * np.pi))


def _members(config: LettersConfig) -> Iterator[tuple[str, int]]:
    return ((letter, rotation) for letter in config.alphabet for rotation in range(config.n_rotations))


def _scored(config: LettersConfig) -> set[str]:
    """Training populations to score: the first rotation of each letter, then the second, up to ten."""
    training = [letter for letter in config.alphabet if _split(config, letter) == "train"]
    ordered = [_name(letter, rotation) for rotation in range(config.n_rotations) for letter in training]
    return set(ordered[:N_SCORED])


def _name(letter: str, rotation: int) -> str:
    return f"{letter}-{rotation:02d}"


def _split(config: LettersConfig, letter: str) -> str:
    if letter in config.test:
        return "test"
    return "val" if letter in config.validation else "train"


def _labels(name: str, letter: str, split: str, label: str, n_points: int, is_scored: bool) -> pd.DataFrame:
    pair = np.arange(n_points, dtype=np.int32)
    columns = {"population": name, "letter": letter, "split": split, "treatment": label}
    role = "x0" if label == CONTROL else "x1"  # names of cells are half of the file, so they are short
    index = [f"{name}-{role}-{i}" for i in pair]
    return pd.DataFrame({**columns, "pair": pair, "train_eval": is_scored}, index=index)


def _origin(config: LettersConfig, seed: int) -> dict[str, object]:
    """What the file was made from; the folder of the font says nothing on another machine."""
    path = font_path(config.font)
    settings = {**asdict(config), "font": path.name}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"kind": "letters", "seed": seed, "config": settings, "font_sha256": digest}


def _generator(seed: int, *names: object) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derived_seed(seed, "letters", *names)))
