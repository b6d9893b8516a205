"""Text for HTML."""

from __future__ import annotations

import html


def escaped(text: object) -> str:
    """Text for HTML, in elements and in quoted attributes."""
    return html.escape(str(text), quote=True)
