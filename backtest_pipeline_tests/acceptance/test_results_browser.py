"""The pages of results on the real processes, in a browser: wide, narrow, light, dark, two languages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from backtest_pipeline import BacktestRequest
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.chromium import chromium

PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
PICTURES = os.environ.get("RESULTS_PICTURES", "")
LOOKS = [
    ("wide-light-en", 1300, "light", "en-US", "Compare the ticked"),
    ("narrow-dark-ko", 400, "dark", "ko-KR", "선택한 결과 비교"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def _page(browser: Browser, url: str, **look: Any) -> tuple[Page, list[str]]:
    name, _, password = os.environ.get("ACCEPTANCE_LOGIN", "").partition(":")
    context = browser.new_context(
        base_url=url,
        http_credentials={"username": name, "password": password} if name else None,
        ignore_https_errors=bool(name),
        **look,
    )
    context.set_default_timeout(PATIENCE_MS)
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


def _picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def test_results_are_found_compared_pinned_and_launched_again(
    browser: Browser, sqlite_pipeline: Pipeline
) -> None:
    asked = [
        BacktestRequest(
            strategy="sma_cross",
            params={"fast": fast, "slow": 50},
            symbols=["AAPL", "MSFT"],
            labels={"page": "results"},
        )
        for fast in (7, 11, 19)
    ]
    with sqlite_pipeline.client() as client:
        tasks = client.wait_many([one.task_id for one in client.submit_many(asked)], timeout_s=120)
    assert {one.state for one in tasks} == {"completed"}
    for name, width, scheme, locale, compare in LOOKS:
        look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "locale": locale}
        page, complaints = _page(browser, sqlite_pipeline.url, **look)
        page.goto("/results?label=page%3Dresults&sort=total_return")
        expect(page.locator("tbody tr[data-task]")).to_have_count(3)
        expect(page.locator("svg.spark")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert dark == ("rgb(14, 19, 27)" if scheme == "dark" else "rgb(243, 245, 248)")
        _picture(page, f"results-{name}")
        for tick in page.locator('input[name="task"]').all():
            tick.focus()
            page.keyboard.press("Space")
        page.get_by_role("button", name=compare).focus()
        page.keyboard.press("Enter")
        expect(page.locator("svg.curves polyline")).to_have_count(6)  # each with its benchmark
        expect(page.locator(".best").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        _picture(page, f"comparison-{name}")
        page.goto(f"/results/{tasks[0].task_id}")
        page.locator('button[data-action="pin"][data-pinned="true"]').click()
        expect(page.locator('button[data-action="pin"][data-pinned="false"]')).to_be_visible(
            timeout=PATIENCE_MS
        )
        _picture(page, f"task-{name}")
        page.locator('button[data-action="pin"][data-pinned="false"]').click()
        expect(page.locator('button[data-action="pin"][data-pinned="true"]')).to_be_visible(
            timeout=PATIENCE_MS
        )
        assert complaints == []
        if width > 1_000:
            page.locator('button[data-action="rerun"]').click()
            page.wait_for_url("**/runs/*")
            run_id = page.url.rpartition("/")[2]
            with sqlite_pipeline.client() as client:
                again = client.wait(run_id, timeout_s=120)
                assert client.result(again.task_id).request == asked[0]
            page.goto("/results?label=page%3Dresults")
            expect(page.locator(f'tr[data-task="{run_id}"]')).to_be_visible(timeout=PATIENCE_MS)
            asked_again = sqlite_pipeline.data_root / "tasks" / run_id / "manifest.json"
            assert asked_again.is_file()
            with sqlite_pipeline.client() as client:
                client.pin(run_id)
            page.goto("/results?pinned=1&label=page%3Dresults")
            expect(page.locator("tbody tr[data-task]")).to_have_count(1)
            _remove(sqlite_pipeline, run_id)
        page.context.close()


def _remove(pipeline: Pipeline, task_id: str) -> None:
    """Takes a result away as somebody would who deletes by hand: the table forgets it."""
    folder = pipeline.data_root / "tasks" / task_id
    folder.rename(pipeline.data_root / "tasks" / f".gone-{task_id}")
