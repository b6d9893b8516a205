"""One self-contained HTML file: text escaped, scripts allowed by their hash, nothing from any network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from bokeh.resources import Resources

from backtest_pipeline.reports.bilingual import SWITCH, texts_for
from backtest_pipeline.reports.charts.palette import DARK, LIGHT
from backtest_pipeline.reports.markup import escaped


def embedded_json(element_id: str, value: object) -> str:
    """A block of data for the page's script; no text in it can end the block or start a comment.

    Args:
        element_id: a name of ours.
        value: JSON values without NaN or infinity.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII only, hence without U+2028
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{element_id}">{safe}</script>'


def page(title: str, body: str, data: Mapping[str, object], more: Sequence[str] = ()) -> str:
    """A whole page.

    Its content-security policy refuses every request and every script but these. Styles may stand inline,
    for Bokeh writes its own into the page; pictures may be data, for its toolbar has such icons. Bokeh needs
    no `unsafe-eval` as long as no callback in JavaScript text is used.

    Args:
        title: plain text.
        body: HTML, in which every text from outside is escaped.
        data: JSON values by the id under which the page's script finds them.
        more: further scripts and style sheets of this folder that this kind of page needs, by file.
    """
    # What `page.js` calls comes before it.
    names = ("language.js", "log_scale.js", "price.js", "scrolling.js", "page.js", "page.css", *more)
    own = [_asset(one) for one in names if one.endswith(".js")]
    scripts = (*_bokeh_scripts(), *own)
    style = "".join(_asset(one) for one in names if one.endswith(".css"))
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    blocks = "\n".join(
        embedded_json(name, value) for name, value in [*data.items(), ("korean", texts_for(body, own))]
    )
    tags = "\n".join(f"<script>{script}</script>" for script in scripts)
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}</title>
<style>{_colours()}{style}</style>
</head>
<body>
{body}
{SWITCH}
<noscript><p class="note" data-said>Some charts and tables need JavaScript; the numbers do not.</p></noscript>
{blocks}
{tags}
</body>
</html>
"""
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def _bokeh_scripts() -> tuple[str, ...]:
    return tuple(Resources(mode="inline", components=["bokeh"], log_level="error").js_raw)


@cache
def _asset(name: str) -> str:
    return files("backtest_pipeline.reports").joinpath(name).read_text(encoding="utf-8")


@cache
def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _colours() -> str:
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in colours.items()) for colours in (LIGHT, DARK)
    )
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
