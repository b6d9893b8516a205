"""The pages of results on the real processes, in a browser: wide, narrow, light, dark, two languages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from backtest_pipeline import BacktestRequest, FloatRange, IntRange, SweepRequest
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.chromium import PATIENCE_MS, chromium

expect.set_options(timeout=PATIENCE_MS)
PICTURES = os.environ.get("RESULTS_PICTURES", "")
LOOKS = [
    ("wide-light-en", 1300, "light", "en-US", "Compare the ticked"),
    ("narrow-dark-ko", 400, "dark", "ko-KR", "선택한 결과 비교"),
    ("wide-dark-ko", 1300, "dark", "ko-KR", "선택한 결과 비교"),
    ("narrow-light-en", 400, "light", "en-US", "Compare the ticked"),
]
OURS = "/results?label=page%3Dresults"


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


@pytest.fixture(scope="module")
def task_ids(sqlite_pipeline: Pipeline) -> list[str]:
    """Three backtests that differ in a parameter."""
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
    return [one.task_id for one in tasks]


@pytest.fixture(scope="module")
def sweep_ids(sqlite_pipeline: Pipeline) -> list[str]:
    """Two small sweeps over different spaces."""
    with sqlite_pipeline.client() as client:
        sweeps = [client.submit(_sweep({"params.fast": IntRange(5, last)})).task_id for last in (20, 30)]
        for one in sweeps:
            assert client.wait(one, timeout_s=120).state == "completed"
    return sweeps


def _sweep(space: dict[str, Any], **fields: Any) -> SweepRequest:
    backtest = BacktestRequest(
        strategy="sma_cross", params={"slow": 60}, symbols=["AAPL"], labels={"page": "sweeps"}
    )
    return SweepRequest(backtest=backtest, space=space, **fields)


@pytest.mark.parametrize(
    ("name", "width", "scheme", "locale", "compare"), LOOKS, ids=[look[0] for look in LOOKS]
)
def test_results_are_found_and_compared_by_keyboard(
    browser: Browser,
    sqlite_pipeline: Pipeline,
    task_ids: list[str],
    name: str,
    width: int,
    scheme: str,
    locale: str,
    compare: str,
) -> None:
    look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "locale": locale}
    page, complaints = _page(browser, sqlite_pipeline.url, **look)
    page.goto(f"{OURS}&sort=total_return")
    expect(page.locator("tbody tr[data-task]")).to_have_count(3)
    expect(page.locator("svg.spark")).to_have_count(3)
    _fits(page, width)
    expect(page.locator("section:last-of-type .wide")).to_have_class("wide scrolls")  # and says so
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark == ("rgb(14, 19, 27)" if scheme == "dark" else "rgb(243, 245, 248)")
    _picture(page, f"results-{name}")
    for tick in page.locator('input[name="task"]').all():
        tick.focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name=compare).focus()
    page.keyboard.press("Enter")
    expect(page.locator("svg.curves polyline")).to_have_count(4)  # three and their benchmark
    expect(page.locator(".best").first).to_be_visible()
    _fits(page, width)
    _picture(page, f"comparison-{name}")
    page.goto(f"/results/{task_ids[0]}")
    expect(page.locator("h1")).to_contain_text("sma_cross")
    _fits(page, width)
    _picture(page, f"task-{name}")
    assert complaints == []
    page.context.close()


@pytest.mark.parametrize(("width", "locale"), [(1300, "en-US"), (400, "ko-KR")])
def test_a_filter_is_typed_and_its_address_shows_the_same_to_others(
    browser: Browser, sqlite_pipeline: Pipeline, task_ids: list[str], width: int, locale: str
) -> None:
    look = {"viewport": {"width": width, "height": 900}, "locale": locale}
    page, complaints = _page(browser, sqlite_pipeline.url, **look)
    page.goto(OURS)
    folded = page.locator("details.filtering > summary")
    expect(folded).to_contain_text("1 active" if locale == "en-US" else "1개 적용 중")  # the label of `OURS`
    if width == 400:
        _row_is_on_the_first_screen(page)
        expect(page.locator('input[name="param"]')).to_be_hidden()
        folded.focus()
        page.keyboard.press("Enter")
    page.locator('input[name="param"]').focus()
    page.keyboard.type("fast=11")
    page.locator('select[name="sort"]').focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "direction"
    page.locator('input[name="first_day"]').fill("1990-01-01")
    page.locator('input[name="until"]').fill("2100-01-01")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr[data-task]")).to_have_count(1)
    other, more_complaints = _page(browser, sqlite_pipeline.url, **look)
    other.goto(page.url)
    expect(other.locator(f'tr[data-task="{task_ids[1]}"]')).to_be_visible()
    expect(other.locator('input[name="first_day"]')).to_have_value("1990-01-01")
    expect(other.locator("details.filtering > summary")).to_contain_text("4")  # label, param and two days
    if width == 400:
        other.locator("details.filtering > summary").click()
    other.locator('input[name="last_day"]').fill("1990-12-31")
    other.keyboard.press("Enter")
    expect(other.locator("tbody tr[data-task]")).to_have_count(0)
    assert complaints + more_complaints == []
    page.context.close()
    other.context.close()


def _row_is_on_the_first_screen(page: Page) -> None:
    row = page.locator("tbody tr[data-task]").first.bounding_box()
    assert row is not None
    assert row["y"] + row["height"] < page.evaluate("innerHeight")


def test_a_task_is_pinned_unpinned_and_run_again(
    browser: Browser, sqlite_pipeline: Pipeline, task_ids: list[str]
) -> None:
    page, complaints = _page(browser, sqlite_pipeline.url)
    page.goto(f"/results/{task_ids[0]}")
    # The web server of docker-compose.yml cannot write results, and so offers nothing that would.
    pins = () if "ACCEPTANCE_URL" in os.environ else (("true", "false"), ("false", "true"))
    expect(page.locator('button[data-action="pin"]')).to_have_count(1 if pins else 0)
    for wanted, then in pins:
        page.locator(f'button[data-action="pin"][data-pinned="{wanted}"]').click()
        expect(page.locator(f'button[data-action="pin"][data-pinned="{then}"]')).to_be_visible()
        with sqlite_pipeline.client() as client:
            assert client.result(task_ids[0]).manifest.pinned is (wanted == "true")
    assert complaints == []
    page.locator('button[data-action="rerun"]').click()
    page.wait_for_url("**/runs/*")
    run_id = page.url.rpartition("/")[2]
    with sqlite_pipeline.client() as client:
        again = client.wait(run_id, timeout_s=120)
        assert client.result(again.task_id).request == client.result(task_ids[0]).request
    page.goto(OURS)
    expect(page.locator(f'tr[data-task="{run_id}"]')).to_be_visible()
    _remove(sqlite_pipeline, run_id)
    page.context.close()


def test_every_file_is_downloaded_as_it_lies_in_the_folder_and_the_launchpad_has_the_request(
    browser: Browser, sqlite_pipeline: Pipeline, task_ids: list[str]
) -> None:
    page, complaints = _page(browser, sqlite_pipeline.url)
    page.goto(f"/results/{task_ids[2]}")
    links = page.locator("a[download]")
    names = set()
    for link in links.all():
        with page.expect_download() as download:
            link.click()
        names.add(download.value.suggested_filename)
        stored = sqlite_pipeline.data_root / "tasks" / task_ids[2] / download.value.suggested_filename
        assert download.value.path().read_bytes() == stored.read_bytes()
    assert names >= {"signals.parquet", "trades.parquet", "equity.parquet", "manifest.json"}
    assert complaints == []
    page.get_by_role("link", name="Open in launchpad with this request").click()
    page.wait_for_url("**/playground**")
    expect(page.locator(".CodeMirror").first).to_contain_text("fast: 19")
    page.context.close()


@pytest.mark.parametrize(("name", "width", "scheme", "locale"), [look[:4] for look in LOOKS[:2]])
def test_sweeps_are_listed_compared_with_one_another_and_not_with_backtests(
    browser: Browser,
    sqlite_pipeline: Pipeline,
    task_ids: list[str],
    sweep_ids: list[str],
    name: str,
    width: int,
    scheme: str,
    locale: str,
) -> None:
    look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "locale": locale}
    page, complaints = _page(browser, sqlite_pipeline.url, **look)
    page.goto("/results?kind=sweep&label=page%3Dsweeps&sort=trials")
    rows = page.locator("tbody tr[data-task]")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("26 ")  # fast from 5 to 30
    expect(rows.nth(1)).to_contain_text("16 ")  # from 5 to 20
    expect(page.locator("svg.spark")).to_have_count(2)
    _picture(page, f"sweeps-{name}")
    for tick in page.locator('input[name="task"]').all():
        tick.check()
    page.locator('form[action$="/compare"] button').click()
    expect(page.locator("h1")).to_contain_text("2 sweeps compared" if locale == "en-US" else "2")
    _fits(page, width)
    _picture(page, f"sweep-comparison-{name}")
    mixed = page.goto(f"/results/compare?task={sweep_ids[0]}&task={task_ids[0]}")
    assert mixed is not None
    assert mixed.status == 400
    refusal = "tick one kind" if locale == "en-US" else "한 종류만 선택하세요"
    expect(page.locator("main")).to_contain_text(refusal)
    assert [one for one in complaints if "400" not in one] == []
    page.context.close()


def test_dagsters_pages_lead_to_the_results(
    browser: Browser, sqlite_pipeline: Pipeline, task_ids: list[str], sweep_ids: list[str]
) -> None:
    page, _ = _page(browser, sqlite_pipeline.url)
    page.set_viewport_size({"width": 1400, "height": 900})
    for job, task_id in (("backtest", task_ids[0]), ("sweep", sweep_ids[0])):
        page.goto(f"/locations/backtest_pipeline/jobs/{job}")
        expect(page.locator('a[href="/results"]').first).to_be_visible()
        page.goto(f"/runs/{task_id}")
        with page.expect_popup() as opened:
            page.get_by_role("link", name=f"/results/{task_id}").first.click()
        expect(opened.value.locator("h1")).to_contain_text("sma_cross")
    page.context.close()


def test_what_runs_is_shown_and_cancelled(browser: Browser, sqlite_pipeline: Pipeline) -> None:
    page, complaints = _page(browser, sqlite_pipeline.url)
    endless = _sweep(
        {"params.fast": IntRange(2, 50), "initial_cash": FloatRange(1_000, 2_000)},
        search="random",
        trials=1_000_000,
    )
    with sqlite_pipeline.client() as client:
        task_id = client.submit(endless).task_id
        page.goto("/results?state=running&kind=sweep")
        row = page.locator("#live tr", has=page.locator(f'a[href$="/runs/{task_id}"]'))
        expect(row.locator("progress")).to_be_visible()
        row.get_by_role("button", name="Cancel").click()
        assert client.wait(task_id, timeout_s=60).state == "cancelled"
    expect(row).to_have_count(0)
    page.goto("/results?state=cancelled&kind=sweep")
    expect(page.locator(f'tr[data-task="{task_id}"]')).to_be_visible()
    assert complaints == []
    page.context.close()


def _fits(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def _remove(pipeline: Pipeline, task_id: str) -> None:
    """Takes a result away as somebody would who deletes by hand: the table forgets it."""
    folder = pipeline.data_root / "tasks" / task_id
    folder.rename(pipeline.data_root / "tasks" / f".gone-{task_id}")
