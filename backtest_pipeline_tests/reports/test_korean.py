"""Reports say everything of theirs in English and Korean."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from backtest_pipeline import IntRange
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.metric_korean import KOREAN_FAMILIES, KOREAN_METRICS
from backtest_pipeline.reports.bilingual import korean_texts, mark_of_metric, said
from backtest_pipeline.reports.comparison import comparison_html
from backtest_pipeline.reports.page import page
from backtest_pipeline.reports.report import report_html
from backtest_pipeline.workflows.render_sweep_report import sweep_report
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk
from backtest_pipeline_tests.reports.made_sweep import stored, sweep_of, table_of

HANGUL = re.compile("[가-힣]")


class _Said(HTMLParser):
    """Texts that are marked as ours, and headings that are not."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.marked: list[str] = []
        self.unmarked_headings: list[str] = []
        self._open: tuple[str, bool] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("data-said"):
            self.marked.append(given["data-said"] or "")
        if "data-said-title" in given:
            self.marked.append(given["title"] or "")
        self._open = (tag, "data-said" in given and not given["data-said"])
        if tag in {"h2", "summary"} and "data-said" not in given:
            self.unmarked_headings.append(str(self.getpos()))

    def handle_data(self, data: str) -> None:
        if self._open and self._open[1]:
            self.marked.append(data)
        self._open = None


def _reports() -> dict[str, str]:
    candles = {name: candles_of(walk(150, place), name) for place, name in enumerate(["AAPL", "IBM"])}
    result = backtest(candles)
    return {
        "report": report_html(result, candles),
        "without candles": report_html(result, None),
        "comparison": comparison_html({"one": result, "two": result}),
    }


def test_every_metric_and_family_has_a_korean_name_and_explanation() -> None:
    assert list(KOREAN_METRICS) == list(METRICS)
    assert set(KOREAN_FAMILIES) == {facts.family for facts in METRICS.values()}
    for name, (title, meaning) in KOREAN_METRICS.items():
        assert HANGUL.search(title), name
        assert HANGUL.search(meaning), name
    assert len({title for title, _ in KOREAN_METRICS.values()}) == len(METRICS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["report", "without candles", "comparison"])
def test_every_heading_and_marked_text_has_a_korean_one(kind: str) -> None:
    found = _Said(_reports()[kind])
    assert found.unmarked_headings == []
    assert [text for text in found.marked if text and text not in korean_texts()] == []
    assert len(found.marked) > 40


def test_every_heading_and_marked_text_of_a_sweep_s_report_has_a_korean_one(tmp_path: Path) -> None:
    asked = sweep_of({"params.fast": IntRange(2, 6), "params.slow": [10, 20]})
    found = _Said(sweep_report(tmp_path, stored(tmp_path, asked, table_of(asked))).decode())
    assert found.unmarked_headings == []
    assert [text for text in found.marked if text and text not in korean_texts()] == []
    assert len(found.marked) > 40


def test_a_template_and_its_korean_have_the_same_values() -> None:
    for english, korean in korean_texts().items():
        assert set(re.findall(r"\{\d\}", english)) == set(re.findall(r"\{\d\}", korean)), english


def test_a_marked_text_reads_as_english_and_tells_its_template_and_values() -> None:
    assert said("Metrics") == "<span data-said>Metrics</span>"
    assert said("{0} trades", 12, element="h2") == (
        '<h2 data-said="{0} trades" data-with="[&quot;12&quot;]">12 trades</h2>'
    )
    assert mark_of_metric("max_drawdown_days", 1.0) == ' data-said="{0} day" data-with="[&quot;1&quot;]"'
    assert mark_of_metric("sharpe", 1.0) == ""


def test_a_page_carries_the_korean_of_what_it_says_and_no_more() -> None:
    html = page("t", "<h2 data-said>Fine print</h2>", {"charts": {}, "palette": {}})
    block = re.search(r'id="korean">(.*?)</script>', html)
    assert block
    carried = json.loads(block[1])
    assert carried["Fine print"] == "세부 정보"
    assert carried["Sharpe ratio"] == "샤프 지수"  # scripts name metrics by their titles
    assert "Parallel coordinates" not in carried
