"""The colours of pages and charts, chosen once, light and dark."""

from __future__ import annotations

LIGHT = {
    "page": "#f3f5f8",
    "panel": "#ffffff",
    "ink": "#1b2330",
    "muted": "#566174",
    "rule": "#dde3ea",
    "equity": "#1d5fd0",
    "benchmark": "#7b8494",
    "gain": "#0f7f4f",
    "loss": "#c8303a",
    "warning": "#8f5a00",
}
DARK = {
    "page": "#0e131b",
    "panel": "#161d28",
    "ink": "#e7ecf3",
    "muted": "#9aa6b6",
    "rule": "#2a3443",
    "equity": "#62a5ff",
    "benchmark": "#818c9c",
    "gain": "#3dbb80",
    "loss": "#f4717a",
    "warning": "#e0a83e",
}
TEXTS = ("ink", "muted", "gain", "loss", "warning")
LINES = ("equity", "benchmark", "gain", "loss")

# Curves that lie over one another; each contrasts with a light and with a dark panel.
SERIES = ("#2f74e0", "#d9601a", "#1a8f63", "#b653c9", "#a67c00", "#d8436b", "#168aa0", "#7a6cf0")
