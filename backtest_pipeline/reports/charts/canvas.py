"""A small drawing surface over Matplotlib's figure: panels that map time and value to places.

Axes, ticks and automatic layout are left out on purpose. They cost more than drawing the curves does, and a
picture lies on the way of every task. All goes through objects, never through pyplot, whose current figure
is shared by all threads.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

UNITS_AN_INCH = 200
PIXELS_A_UNIT = 0.6
"""A drawing of 1,600 by 900 units is 960 by 540 pixels: whole in the columns where pages show it."""
MOST_COLOURS = 128

# Matplotlib's own font, by its file: no search, hence no font cache.
FONT_FILE = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


class Canvas:
    """An opaque picture; its units, of which each is 0.6 pixels, count from the lower left."""

    def __init__(self, width: int, height: int, background: str) -> None:
        size = (width / UNITS_AN_INCH, height / UNITS_AN_INCH)
        self._figure = Figure(figsize=size, dpi=UNITS_AN_INCH * PIXELS_A_UNIT, facecolor=background)
        self._units = Affine2D().scale(PIXELS_A_UNIT)
        self._agg = FigureCanvasAgg(self._figure)

    def line(self, x: Any, y: Any, colour: str, width_pt: float) -> None:
        """Draws a line through points."""
        self._figure.add_artist(
            Line2D(x, y, color=colour, linewidth=width_pt, transform=self._units), clip=False
        )

    def marks(self, x: Any, y: Any, marker: str, colour: str, edge: str, size_pt: float = 5.0) -> None:
        """Draws a mark at each point, with an edge that sets it off."""
        self._figure.add_artist(
            Line2D(
                x,
                y,
                linestyle="none",
                marker=marker,
                markersize=size_pt,
                color=colour,
                markeredgecolor=edge,
                markeredgewidth=0.4,
                transform=self._units,
            )
        )

    def surface(self, x: Floats, y: Floats, to: float, colour: str, alpha: float) -> None:
        """Fills between a line and the height `to`."""
        corners = np.column_stack([np.r_[x[0], x, x[-1]], np.r_[to, y, to]])
        shape = Polygon(
            corners, color=colour, alpha=alpha, linewidth=0, antialiased=False, transform=self._units
        )
        self._figure.add_artist(shape)

    def text(self, x: float, y: float, text: str, colour: str, size_pt: float, **style: Any) -> float:
        """Writes on one line, with ? for what the font lacks; a strategy called `$x$` is no formula.

        Returns:
            The text's width in units.
        """
        written = self._figure.text(
            x,
            y,
            "".join(letter if ord(letter) in _letters() else "?" for letter in text),
            color=colour,
            fontproperties=_font(size_pt),
            parse_math=False,
            transform=self._units,
            **style,
        )
        return float(written.get_window_extent().width) / PIXELS_A_UNIT

    def png(self) -> bytes:
        """The picture. A palette halves both bytes and time, and nobody sees the difference."""
        self._agg.draw()  # type: ignore[no-untyped-call]  # Matplotlib leaves it untyped
        rgba = self._agg.buffer_rgba()  # type: ignore[no-untyped-call]  # as above
        pixels = Image.fromarray(np.asarray(rgba)).convert("RGB")
        few = pixels.quantize(MOST_COLOURS, method=Image.Quantize.FASTOCTREE)
        picture = io.BytesIO()
        few.save(picture, "png", compress_level=4)
        return picture.getvalue()


@dataclass(frozen=True, slots=True)
class Panel:
    """Where a plot lies, in units, and what its edges stand for."""

    left: float
    right: float
    bottom: float
    top: float
    start: float
    end: float
    low: float
    high: float

    def x(self, seconds: Any) -> Any:
        """Place of a moment, in seconds since 1970."""
        return self.left + (seconds - self.start) / (self.end - self.start) * (self.right - self.left)

    def y(self, value: Any) -> Any:
        """Place of a value."""
        return self.bottom + (value - self.low) / (self.high - self.low) * (self.top - self.bottom)

    def heights(self, most: int) -> list[float]:
        """About `most` round values between the lower and the upper edge."""
        ticks = MaxNLocator(most).tick_values(self.low, self.high)
        return [float(tick) for tick in ticks if self.low <= tick <= self.high]

    def draw_grid(
        self,
        canvas: Canvas,
        times: Floats,
        most: int,
        written: Callable[[float], str],
        *,
        rule: str,
        axis: str,
        ink: str,
        size_pt: float,
    ) -> None:
        """Draws lines at the times and at about `most` round values, whose texts stand to the left."""
        for time in self.x(times):
            canvas.line([time, time], [self.bottom, self.top], rule, 0.6)
        for height in self.heights(most):
            at = self.y(height)
            canvas.line([self.left, self.right], [at, at], rule, 0.6)
            canvas.text(self.left - 12, at, written(height), ink, size_pt, ha="right", va="center")
        canvas.line([self.left, self.right], [self.bottom, self.bottom], axis, 0.8)


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(FONT_FILE).get_charmap())


@cache
def _font(size_pt: float) -> FontProperties:
    return FontProperties(fname=FONT_FILE, size=size_pt)
