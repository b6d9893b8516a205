"""Matplotlib figures as small PNG files, and texts in the one font that they all use."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties, get_font
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLOURS = 128

# Matplotlib's own font, by its file: the same on every machine, whatever fonts that has.
FONT_FILE = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


def png_of(figure: Figure) -> bytes:
    """The figure as PNG; the same figure yields the same bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # Matplotlib leaves it untyped
    rgba = canvas.buffer_rgba()  # type: ignore[no-untyped-call]  # as above
    pixels = Image.fromarray(np.asarray(rgba)).convert("RGB")
    # A palette halves the bytes, and nobody sees the difference.
    few = pixels.quantize(MOST_COLOURS, method=Image.Quantize.FASTOCTREE)
    picture = io.BytesIO()
    few.save(picture, "png", compress_level=4)
    return picture.getvalue()


def writable(text: str) -> str:
    """The text with ? for what the font lacks."""
    return "".join(letter if ord(letter) in _letters() else "?" for letter in text)


@cache
def font(size_pt: float) -> FontProperties:
    """The font in a size."""
    return FontProperties(fname=FONT_FILE, size=size_pt)


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(FONT_FILE).get_charmap())
