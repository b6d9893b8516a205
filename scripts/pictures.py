"""Starts a pipeline with the demo's candles, runs backtests and photographs their pages."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from backtest_pipeline import BacktestClient, BacktestRequest, IntRange, SweepRequest
from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
PORT = int(os.environ.get("PICTURES_PORT", "3390"))
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def main() -> None:
    """Takes every picture."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(data_root=Path(scratch) / "data", dagster_home=Path(scratch) / "home")
        import_demo(CandleStore(settings.data_root))
        service = LocalService(settings, port=PORT)
        with service.running(), BacktestClient(service.url, data_root=settings.data_root) as client:
            task_id, *others = [
                client.wait(client.submit(request).task_id).task_id for request in _requests()
            ]
            comparison = Path(scratch) / "comparison.html"
            _compare([task_id, *others], comparison, settings)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
                page = browser.new_page(viewport={"width": 1400, "height": 860})
                _photograph(page, f"{service.url}/runs/{task_id}", "run", shows="text=RUN_SUCCESS")
                launchpad = f"{service.url}/locations/backtest_pipeline/jobs/backtest/playground"
                _photograph(page, launchpad, "launchpad", shows="button:has-text('Launch Run')")
                _photograph(page, f"{service.url}/tasks/{task_id}/report.html", "report")
                _photograph(page, comparison.as_uri(), "comparison")
                _photograph_sweeps(browser, client, service.url, comparison.parent, settings)
                _photograph_results(browser, service.url, [task_id, *others])
                browser.close()


def _requests() -> list[BacktestRequest]:
    """Three ideas about the same three companies; the first one is the one that is photographed."""
    ideas: dict[str, dict[str, int]] = {
        "sma_cross": {"fast": 20, "slow": 100},
        "donchian_breakout": {},
        "buy_and_hold": {},
    }
    return [
        BacktestRequest(
            strategy=strategy, params=params, symbols=["AAPL", "IBM", "MSFT"], labels={"idea": "trend"}
        )
        for strategy, params in ideas.items()
    ]


def _photograph_results(browser: Browser, url: str, task_ids: list[str]) -> None:
    """The table of results, some of them compared; the table and a report on a telephone."""
    page = browser.new_page(viewport={"width": 1400, "height": 860})
    _photograph(page, f"{url}/results?label=idea%3Dtrend", "results")
    ticked = "&".join(f"task={task_id}" for task_id in task_ids)
    _photograph(page, f"{url}/results/compare?{ticked}", "results-comparison")
    small = _telephone(browser)
    _photograph(small, f"{url}/results?label=idea%3Dtrend&kind=backtest", "results-narrow")
    _photograph(small, f"{url}/tasks/{task_ids[0]}/report.html", "report-narrow")


def _telephone(browser: Browser) -> Page:
    """A page on a telephone that is dark and Korean."""
    return browser.new_page(
        viewport={"width": 400, "height": 860}, color_scheme="dark", locale="ko-KR", device_scale_factor=1
    )


def _photograph_sweeps(
    browser: Browser, client: BacktestClient, url: str, scratch: Path, settings: Settings
) -> None:
    """A sweep's report, also on a telephone, and what compares it with another one."""
    backtest = BacktestRequest(strategy="sma_cross", symbols=["AAPL", "MSFT"], labels={"idea": "trend"})
    fast = {"params.fast": IntRange(5, 50, step=3)}
    spaces = (
        {**fast, "params.slow": IntRange(20, 200, step=10), "stop_loss_frac": [None, 0.05, 0.1]},
        {**fast, "params.slow": IntRange(60, 120, step=5), "trailing_stop_frac": [None, 0.1, 0.2]},
    )
    requests = [SweepRequest(backtest=backtest, space=space, where=["trades >= 5"]) for space in spaces]
    task_id, other = [client.wait(client.submit(request).task_id).task_id for request in requests]
    page = browser.new_page(viewport={"width": 1280, "height": 1240})
    page.goto(f"{url}/tasks/{task_id}/report.html", wait_until="networkidle")
    page.wait_for_selector("html[data-swept][data-drawn]")
    page.locator("#heat td.winner").click()
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=IMAGES / "sweep-report.png")
    for part, name in ((".two", "sweep-spread"), ("section:has(.charts)", "sweep-names")):
        page.locator(part).first.screenshot(path=IMAGES / f"{name}.png")
    _photograph(_telephone(browser), f"{url}/tasks/{task_id}/report.html", "sweep-report-narrow")
    comparison = scratch / "sweeps.html"
    _compare([task_id, other], comparison, settings)
    _photograph(page, comparison.as_uri(), "sweep-comparison")


def _compare(task_ids: list[str], page: Path, settings: Settings) -> None:
    command = [str(Path(sys.executable).with_name("backtest")), "compare", *task_ids]
    env = {**os.environ, "DATA_ROOT": str(settings.data_root)}
    subprocess.run([*command, "--out", str(page), "--no-open"], env=env, check=True)  # noqa: S603  our own


def _photograph(page: Page, url: str, name: str, shows: str = "body") -> None:
    """Takes a picture of a page once it shows an element."""
    page.goto(url, wait_until="networkidle")
    page.wait_for_selector(shows, timeout=120_000)
    page.wait_for_timeout(2_000)
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
