"""A report chooses its language by the browser's and lets the reader switch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from backtest_pipeline.reports.report import report_html
from backtest_pipeline_tests.chromium import chromium
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    candles = {name: candles_of(walk(150, place), name) for place, name in enumerate(["AAPL", "IBM"])}
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html(backtest(candles), candles), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("locale", "heading"), [("ko-KR", "월별 수익률 (%)"), ("en-GB", "Monthly returns, percent")]
)
def test_a_report_speaks_the_browser_s_language(
    browser: Browser, report: Path, locale: str, heading: str
) -> None:
    page = browser.new_page(locale=locale)
    page.goto(report.as_uri())
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    page.close()


def test_the_switch_changes_headings_metrics_and_trades_and_is_kept(browser: Browser, report: Path) -> None:
    page = browser.new_page(locale="en-GB")
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(report.as_uri())
    expect(page.locator("[data-metric=sharpe]").locator("..").locator("span")).to_have_text("Sharpe ratio")
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.locator("[data-metric=sharpe]").locator("..").locator("span")).to_have_text("샤프 지수")
    expect(page.locator("#trades-table th[data-column=pnl]")).to_have_text("손익")
    expect(page.locator("table.months thead th").nth(1)).to_have_text("1월")
    expect(page.locator("[data-metric=max_drawdown]").locator("..").locator("small")).to_contain_text("일")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    page.get_by_role("button", name="English").click()
    expect(page.locator("#trades-table th[data-column=pnl]")).to_have_text("Profit")
    expect(page.get_by_role("heading", name="Monthly returns, percent")).to_be_visible()
    assert problems == []
    page.close()


def test_without_script_a_report_is_english_and_has_no_switch(browser: Browser, report: Path) -> None:
    page = browser.new_page(locale="ko-KR", java_script_enabled=False)
    page.goto(report.as_uri())
    expect(page.get_by_role("heading", name="Monthly returns, percent")).to_be_visible()
    expect(page.locator("#language")).to_be_hidden()
    page.close()
