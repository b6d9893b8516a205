"""What the user guide says others show and where it is here, held to the pages that it names."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from backtest_pipeline.reports.report import report_html
from backtest_pipeline.web.pages.wording import Wording
from backtest_pipeline.workflows.assess_backtest import assessed_backtest
from backtest_pipeline_tests.reports.made import backtest, candles_of, manifest_of, walk, without_translations

_GUIDE = (Path(__file__).parents[2] / "docs" / "user-guide.md").read_text()
_SECTION = _GUIDE.partition("### Coming from other tools")[2].partition("\n## ")[0]
ROWS = [
    (shown.strip(), here.strip())
    for shown, here in re.findall(r"^\| (.*?) \| (.*) \|$", _SECTION, re.MULTILINE)
    if here.strip() not in {"---", "here"}
]


@pytest.fixture(scope="module")
def report() -> str:
    """The text of a report of two symbols over three years."""
    candles = {name: candles_of(walk(800, place), name) for place, name in enumerate(["AAPL", "IBM"])}
    result = backtest(candles)
    manifest = manifest_of(result, candles).model_copy(update={"robustness": assessed_backtest(result)})
    html = report_html(replace(result, manifest=manifest), candles)
    scripts: list[str] = re.findall(r"<script>.*?</script>", html, re.DOTALL)  # they make trades
    body = re.sub(r"<script.*?</script>", "", without_translations(html), flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "\n", body)) + scripts[-1]


def test_the_tables_are_found() -> None:
    assert len(ROWS) > 20


@pytest.mark.parametrize(("shown", "here"), ROWS, ids=[shown for shown, _ in ROWS])
def test_what_is_named_in_a_row_is_on_the_page(shown: str, here: str, report: str) -> None:
    if here.startswith("not there"):
        assert re.match(r"not there: \S", here), f"{shown}: why not?"
    words = Wording("en")
    for name in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", here):
        if name == "Run again":
            assert words(name) == name
            assert Wording("ko")(name) != name  # it is one of the pages' own words
            continue
        pattern = ".*".join(re.escape(part.strip()) for part in name.split("…"))
        assert re.search(pattern, report), f"{shown}: the report has no {name!r}"


def test_what_is_said_to_be_elsewhere_is_there(report: str) -> None:
    for metric in ("alpha", "beta"):
        assert f"\n{metric}\n" in report
    for line in ("Best day", "Worst month", "Best year"):
        assert line in report
    for button in ("1 y", "3 y", "all"):
        assert f"\n{button}\n" in report
