"""A backtest from the launchpad to the report, in a real browser."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pandas as pd
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from backtest_pipeline import BacktestRequest, BacktestResult, IntRange, SweepRequest, SweepResult
from backtest_pipeline.model.launchpad import launchpad_path, launchpad_yaml
from backtest_pipeline.model.metric_catalog import shown
from backtest_pipeline.model.sweep_config import to_sweep_config
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.chromium import PATIENCE_MS, chromium

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Watched:
    """A page, with everything that it complained about and asked other hosts for."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._own = urlsplit(url).netloc
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        name, _, password = os.environ.get("ACCEPTANCE_LOGIN", "").partition(":")
        context = browser.new_context(
            viewport={"width": 1500, "height": 1000},
            base_url=url,
            http_credentials={"username": name, "password": password} if name else None,
            ignore_https_errors=bool(name),  # the proxy's authority is its own
        )
        context.on("request", self._requested)
        context.on("console", self._spoke)
        context.set_default_timeout(PATIENCE_MS)
        self.page: Page = context.new_page()

    def _requested(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.netloc != self._own:
            self.foreign.append(request.url)

    def _spoke(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture
def watched(browser: Browser, sqlite_pipeline: Pipeline) -> Watched:
    return Watched(browser, sqlite_pipeline.url)


def test_the_form_comes_with_its_defaults_scaffolded_and_can_be_launched_untouched(
    watched: Watched, sqlite_pipeline: Pipeline
) -> None:
    page = watched.page
    page.goto("/locations/backtest_pipeline/jobs/backtest/playground")
    expect(page.locator(".CodeMirror").first).to_contain_text("initial_cash: 10000")
    task_id = _launched(page)
    with sqlite_pipeline.client() as client:
        assert client.result(task_id).request == BacktestRequest(
            strategy="sma_cross", params={"fast": 10, "slow": 20}, symbols=["AAPL"]
        )
    assert watched.complaints == []


def test_a_mistake_is_explained_beside_the_form(watched: Watched) -> None:
    page = watched.page
    wrong = quote("strategy:\n  sma_cross:\n    quick: 3\nsymbols: [AAPL]\n")
    page.goto(f"/locations/backtest_pipeline/jobs/backtest/playground/setup?config={wrong}")
    expect(
        page.get_by_text(re.compile(r"unexpected config entry .quick.*strategy:sma_cross"))
    ).to_be_visible()
    expect(page.get_by_role("button", name="Launch Run")).to_be_disabled()


def test_from_a_preset_to_the_report(watched: Watched, sqlite_pipeline: Pipeline) -> None:
    page = watched.page
    page.goto("/")
    page.locator('a[href="/jobs"]').click()
    page.locator('a[href$="/jobs/backtest"]').first.click()
    page.locator('a[href*="/playground/setup?config="]', has_text="macd_cross").click()  # a preset
    task_id = _launched(page)

    with sqlite_pipeline.client() as client:
        status = client.wait(task_id, timeout_s=60)
        result = client.result(task_id)
    assert (status.state, status.strategy, status.symbols) == (
        "completed",
        "macd_cross",
        ["AAPL", "IBM", "MSFT"],
    )
    assert result.request.initial_cash == 10_000

    page.get_by_role("link", name="View Asset").first.click()
    expect(page.get_by_text("final_equity").first).to_be_visible()
    expect(page.get_by_text(str(result.metrics["final_equity"])).first).to_be_visible()
    report = _report_behind(page, task_id, "equity and drawdown")
    _read_report(report, result)
    assert watched.foreign == []
    assert watched.complaints == []


def test_from_a_sweep_on_the_launchpad_to_one_of_its_trials_as_a_backtest(
    watched: Watched, sqlite_pipeline: Pipeline
) -> None:
    page = watched.page
    asked = SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["AAPL"]),
        space={"params.fast": IntRange(2, 60), "params.slow": IntRange(61, 400)},
        seed=17,
    )
    config = launchpad_yaml(to_sweep_config(asked))
    page.goto(launchpad_path("sweep", config))
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
    task_id = page.url.rsplit("/", 1)[-1][:36]
    stages: list[str] = []
    with sqlite_pipeline.client() as client:
        client.wait(task_id, timeout_s=120, on_progress=lambda status: stages.append(status.stage))
        result = client.result(task_id)
    assert isinstance(result, SweepResult)
    assert any("of 20,060 trials" in stage for stage in stages), stages
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()

    page.get_by_role("link", name="View Asset").first.click()
    report = _report_behind(page, task_id, "best sharpe of the trials")
    best = result.trials.nsmallest(1, "rank").iloc[0]
    _read_sweep_report(report, best)

    report.locator("#best-trials a.launch").first.click()
    expect(report.locator(".CodeMirror").first).to_contain_text(f"fast: {best['params.fast']}")
    single = _launched(report)
    with sqlite_pipeline.client() as client:
        assert client.result(single).metrics["sharpe"] == best["sharpe"]
    assert watched.foreign == []
    assert watched.complaints == []


def _read_sweep_report(page: Page, best: pd.Series[Any]) -> None:
    """Reads the outcome, opens the winner's cell and finds its values there."""
    page.locator("html[data-swept][data-drawn]").wait_for()
    expect(page.locator("#outcome")).to_contain_text(f"The best is trial {best['trial']}")
    page.locator("#heat-metric").select_option(label="Maximum drawdown")
    page.locator("#heat td.winner").click()
    for text in (f"trial {best['trial']}", shown("max_drawdown", best["max_drawdown"])):
        expect(page.locator("#cell")).to_contain_text(text)
    page.locator("#best-trials .pick").first.click()
    values = page.locator("#cell td.value").all_inner_texts()
    assert sorted(values, key=int) == sorted([str(best["params.fast"]), str(best["params.slow"])], key=int)


def _report_behind(page: Page, task_id: str, picture_of: str) -> Page:
    """The report that a run's page links to, once the asset's page has shown the picture."""
    picture = page.get_by_alt_text(picture_of).first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.goto(f"/runs/{task_id}")
    with page.expect_popup() as opened:
        page.get_by_role("link", name=f"/tasks/{task_id}/report.html").first.click()
    return opened.value


def _launched(page: Page) -> str:
    """Launches what stands in the launchpad and watches the run's page until it says success."""
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    return page.url.rsplit("/", 1)[-1][:36]


def _read_report(page: Page, result: BacktestResult) -> None:
    """Reads the headlines, sorts the trades and looks at another symbol."""
    page.locator("html[data-drawn]").wait_for()
    for name in ("total_return", "sharpe", "max_drawdown", "final_equity"):
        expect(page.locator("body")).to_contain_text(shown(name, result.metrics[name]))
    page.locator('#trades-table th[data-column="pnl"] button').click()
    profits = result.trades["pnl"].sort_values(ascending=False)
    rows = page.locator("#trades-table tbody tr")
    expect(rows.first).to_contain_text(f"{profits.iloc[0]:,.2f}")
    page.locator('#trades-table th[data-column="pnl"] button').click()
    expect(rows.first).to_contain_text(f"{profits.iloc[-1]:,.2f}")
    other = page.locator('[data-symbol="IBM"]')
    other.click()
    expect(other).to_have_attribute("aria-pressed", "true")
    assert page.locator("#price canvas, #price .bk-Figure").count() > 0
