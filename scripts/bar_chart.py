"""Horizontal bars as SVG, without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 860
_LABELS = 230
_VALUES = 80
_ROW = 30
_BAR = 18
_TITLE = 44
_FONT = "font-family='system-ui, sans-serif'"


@dataclass(frozen=True)
class Panel:
    """One group of bars on a scale of its own, from zero; `decimals` is for the numbers beside the bars."""

    title: str
    values: Mapping[str, float]
    decimals: int


def svg(panels: Sequence[Panel], *, highlighted: str) -> str:
    """The panels one below another; the bar of that name stands out."""
    parts, top = [], 0
    for panel in panels:
        parts += [_text(0, top + 26, panel.title, size=15, weight=600)]
        most = max(panel.values.values())
        for row, (name, value) in enumerate(panel.values.items()):
            parts += _bar(top + _TITLE + row * _ROW, name, value, most, panel.decimals, name == highlighted)
        top += _TITLE + len(panel.values) * _ROW + 16
    body = "\n".join(parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='-16 0 {_WIDTH + 32} {top}' width='{_WIDTH}'>\n"
        f"<rect x='-16' width='{_WIDTH + 32}' height='{top}' fill='#ffffff'/>\n{body}\n</svg>\n"
    )


def _bar(top: int, name: str, value: float, most: float, decimals: int, stands_out: bool) -> list[str]:
    length = max((_WIDTH - _LABELS - _VALUES) * value / most, 1)
    colour = "#1f6feb" if stands_out else "#9aa5b1"
    middle = top + _BAR - 4
    return [
        _text(_LABELS - 10, middle, name, anchor="end", weight=600 if stands_out else 400),
        f"<rect x='{_LABELS}' y='{top}' width='{length:.1f}' height='{_BAR}' rx='3' fill='{colour}'/>",
        _text(_LABELS + length + 8, middle, f"{value:,.{decimals}f}", weight=600 if stands_out else 400),
    ]


def _text(
    x: float, y: float, content: str, *, size: int = 13, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' {_FONT} font-size='{size}' font-weight='{weight}' "
        f"text-anchor='{anchor}' fill='#1f2933'>{escape(content)}</text>"
    )
