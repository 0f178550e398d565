"""One letter of a font as points: the pixels that its outline touches."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from cellflow_cli.errors import ConfigError

HALF_SIDE = 3.0


def glyph_points(letter: str, size: int = 100, font: str | None = None) -> np.ndarray:
    """Pixels of one letter as points, x to the right and y up, row by row from the bottom.

    Args:
        letter: One character.
        size: Pixels per em.
        font: TrueType or OpenType file, or None for the shipped one.

    Returns:
        Upright points, float64, shape [n, 2], longer side from -3 to 3.

    Raises:
        ConfigError: If the font cannot be read, has no such character, or draws nothing for it.
    """
    ink = _ink(letter, size, str(font_path(font)))[::-1]  # images count rows from the top
    rows, columns = np.nonzero(ink)
    points = np.stack([columns, rows], axis=1).astype(np.float64)
    side = float(np.ptp(points, axis=0).max()) if len(points) else 0.0
    if side == 0:
        raise ConfigError(
            f"Expected a glyph of at least two pixels for {letter!r}, found {len(points)} in the font "
            f"`{font_path(font).name}` at size {size}. Leave it out of `--alphabet`, or choose another "
            "`--font` or `--size`."
        )
    return (points - (points.min(axis=0) + points.max(axis=0)) / 2) * (2 * HALF_SIDE / side)


def font_path(font: str | None = None) -> Path:
    """The font file: as given, or DejaVu Sans from the data folder of matplotlib.

    Raises:
        ConfigError: If there is no such file.
    """
    if font is None:
        import matplotlib

        return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    if not Path(font).is_file():  # Pillow would go on to look in the folders of the system
        raise ConfigError(f"Expected a font file, found none at `{font}`. Choose it with `--font`.")
    return Path(font)


@lru_cache(maxsize=256)  # ten rotations share one drawing
def _ink(letter: str, size: int, path: str) -> np.ndarray:
    """Which pixels the outline touches, bool, shape [rows from the top, columns], with an empty margin."""
    from matplotlib.ft2font import FT2Font
    from PIL import Image, ImageDraw, ImageFont

    try:
        # The basic layout is in every build of Pillow; shaping means nothing for single letters.
        font = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
        is_known = FT2Font(path).get_char_index(ord(letter)) > 0
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"Expected `{path}` to be a TrueType or OpenType font, found: {error}. Choose it with `--font`."
        ) from error
    if not is_known:  # it would be drawn as an empty box
        raise ConfigError(
            f"Expected the font `{Path(path).name}` to have the character {letter!r}, found no glyph for it. "
            "Leave it out of `--alphabet`, or choose another `--font`."
        )
    left, top, right, bottom = (round(side) for side in font.getbbox(letter))
    image = Image.new("L", (right - left + 4, bottom - top + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), letter, fill=255, font=font)
    return np.asarray(image) > 0
