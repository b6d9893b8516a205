"""The frame of the pages of results: one policy, one style sheet, one script, all of this origin."""

from __future__ import annotations

import unicodedata
from functools import cache
from html import escape
from importlib.resources import files

from starlette.responses import Response

from backtest_pipeline.reports.charts.palette import DARK, LIGHT
from backtest_pipeline.web.pages.wording import Wording

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_CONTROLS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of characters that hide, turn or break text: such are shown by their code."""


def outside(text: object) -> str:
    """Text from outside, for HTML and quoted attributes: escaped, nothing in it turns what follows around."""
    shown = "".join(
        f"\\u{ord(one):04x}" if unicodedata.category(one) in _CONTROLS else one for one in str(text)
    )
    return escape(shown, quote=True)


def name_of(text: object) -> str:
    """A name from outside as an element that cannot change the direction of what stands around it."""
    return f"<bdi>{outside(text)}</bdi>"


def wide(table: str, words: Wording) -> str:
    """A table that scrolls by itself where it is wider than the page; the page's script then says so."""
    hint = words("wider than the page: scroll sideways →")
    return f'<div class="wide" data-hint="{hint}">{table}</div>'


def document(title: str, body: str, words: Wording, prefix: str, status: int = 200) -> Response:
    """A whole page.

    Args:
        title: plain text.
        body: HTML, in which every text from outside went through `outside`.
        words: the reader's language.
        prefix: the path prefix of the server.
        status: of the answer.
    """
    base = f"{outside(prefix)}/results"
    page = (
        f'<!doctype html><html lang="{words.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<title>{outside(title)}</title><link rel="stylesheet" href="{base}/results.css">'
        f'<script src="{base}/results.js" defer></script></head>'
        f'<body data-prefix="{outside(prefix)}"><nav><a href="{base}">{words("Results")}</a> '
        f'<a href="{outside(prefix)}/runs">Dagster</a></nav><main>{body}</main>'
        '<p id="said" role="status" aria-live="polite"></p></body></html>'
    )
    return Response(page, status, _headers("no-store"), media_type="text/html; charset=utf-8")


def asset(name: str) -> Response:
    """The style sheet, or the script with what it shares with reports before it."""
    kind = "text/css" if name.endswith(".css") else "text/javascript"
    return Response(_asset(name), 200, _headers("no-cache"), media_type=f"{kind}; charset=utf-8")


@cache
def _asset(name: str) -> str:
    text = files("backtest_pipeline.web.pages").joinpath(name).read_text(encoding="utf-8")
    if name.endswith(".css"):
        return f"{_colours()}{text}"
    shared = files("backtest_pipeline.reports").joinpath("scrolling.js").read_text(encoding="utf-8")
    return f"{shared}\n{text}"


def _colours() -> str:
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in colours.items()) for colours in (LIGHT, DARK)
    )
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def _headers(cache_control: str) -> dict[str, str]:
    return {
        "content-security-policy": POLICY,
        "cache-control": cache_control,
        "vary": "Accept-Language",
        "referrer-policy": "same-origin",
    }
