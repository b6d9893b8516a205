"""A sweep's report in a real browser: axes change, cells and trials open, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from backtest_pipeline import BacktestRequest, FloatRange, IntRange
from backtest_pipeline.model.metric_catalog import facts_of, shown, shown_with_unit
from backtest_pipeline.model.run_config import from_run_config
from backtest_pipeline.research.trial_requests import request_of_row
from backtest_pipeline.workflows.render_sweep_report import sweep_report
from backtest_pipeline_tests.chromium import chromium
from backtest_pipeline_tests.reports.made import TASK
from backtest_pipeline_tests.reports.made_sweep import noise, stored, sweep_of, table_of
from backtest_pipeline_tests.reports.test_sweep_report import hostile_page
from backtest_pipeline_tests.reports.test_sweep_summary import edge_table

REQUEST = sweep_of(
    {
        "params.fast": IntRange(2, 6),
        "params.slow": [10, 20, 40],
        "stop_loss_frac": [None, 0.05],
        "symbols": [["A"], ["A", "B"]],
    },
    backtest=BacktestRequest(strategy="sma_cross", symbols=["A"], fee_bps=3),
)
INVALID, FAILED = 7, 31
TABLE = table_of(
    REQUEST,
    noise(missing=0.02),
    {INVALID: ("invalid", "fast is not below slow"), FAILED: ("failed", "it raised")},
)
ROWS: pd.DataFrame = TABLE.to_pandas()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must end without an error and without a request beyond its own file."""
    troubles: list[str] = []
    requests: list[str] = []
    page = browser.new_page(viewport={"width": 1_280, "height": 900})
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "console",
        lambda message: troubles.append(message.text) if message.type in {"error", "warning"} else None,
    )
    page.on("request", lambda request: requests.append(request.url))
    yield page
    page.close()
    assert troubles == []
    assert {url.split(":")[0] for url in requests} <= {"file", "data", "blob"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept")
    path = folder / "report.html"
    path.write_bytes(sweep_report(folder, stored(folder, REQUEST, TABLE)))
    return path


def _open(page: Page, path: Path) -> None:
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-swept][data-drawn]")


def _choose(page: Page, across: str, down: str) -> None:
    page.locator("#heat-x").select_option(label=across)
    page.locator("#heat-y").select_option(label=down)


def _cell(page: Page, across: str, down: str) -> Locator:
    """The cell whose values these are."""
    columns = page.locator("#heat tr:nth-child(2) th").evaluate_all("all => all.map(one => one.title)")
    rows = page.locator("#heat th[scope=row]").all_inner_texts()
    return page.locator(
        f'#heat [data-cell="{rows.index(down) * (len(columns) - 1) + columns.index(across) - 1}"]'
    )


def _rows(**values: Any) -> pd.DataFrame:
    """The rows with these values; `None` is one."""
    chosen = pd.Series(True, index=ROWS.index)
    for name, value in values.items():
        key = name if name in ROWS.columns else f"params.{name}"
        chosen &= ROWS[key].isna() if value is None else ROWS[key] == value
    return ROWS[chosen]


def _best(rows: pd.DataFrame) -> pd.Series:
    return rows.sort_values("rank").iloc[0]


def test_a_click_on_a_cell_shows_the_trial_that_it_stands_for(page: Page, report: Path) -> None:
    _open(page, report)
    _choose(page, "params.slow", "params.fast")
    best = _best(_rows(fast=5, slow=20))
    cell = _cell(page, "20", "5")
    expect(cell).to_have_text(re.compile("^" + re.escape(shown("sharpe", best["sharpe"]))))
    cell.click()
    panel = page.locator("#cell")
    expect(panel.locator("h3")).to_have_text("params.slow 20, params.fast 5: 4 trials, 4 completed")
    expect(panel.locator("th[scope=col]").nth(1)).to_have_text(f"trial {best['trial']}")
    lines = dict(
        panel.locator("table")
        .first.locator("tr")
        .evaluate_all(
            "rows => rows.slice(1).map(row => [row.cells[0].textContent, row.cells[2].textContent])"
        )
    )
    assert lines["params.fast"] == "5"
    assert lines["params.slow"] == "20"
    assert lines["stop_loss_frac"] == ("none" if pd.isna(best["stop_loss_frac"]) else "0.05")
    assert lines["symbols"] == "+".join(json.loads(best["symbols"]))
    for name, title in (
        ("sharpe", "Sharpe ratio"),
        ("max_drawdown", "Maximum drawdown"),
        ("trades", "Trades"),
    ):
        value = best[name]
        assert lines[title] == shown(name, None if pd.isna(value) else float(value))
    expect(panel).to_contain_text(f"backtest run --from {TASK} --trial {best['trial']}")


def test_the_mean_of_a_cell_is_over_all_its_trials(page: Page, report: Path) -> None:
    _open(page, report)
    _choose(page, "params.fast", "params.slow")
    page.locator("#heat-which").select_option(label="the mean of its trials")
    page.locator("#heat-metric").select_option(label="Calmar ratio")
    mean = _rows(fast=3, slow=40)["calmar"].mean()
    expect(_cell(page, "3", "40")).to_have_text(re.compile("^" + re.escape(shown("calmar", mean))))


def test_other_names_can_be_fixed(page: Page, report: Path) -> None:
    _open(page, report)
    _choose(page, "params.fast", "params.slow")
    for name, value in (("stop_loss_frac", "none"), ("symbols", "A+B")):
        page.locator("#heat-choices label", has_text=f"{name} is").locator("select").select_option(
            label=value
        )
    [trial] = _rows(fast=5, slow=10, stop_loss_frac=None, symbols='["A", "B"]')["trial"]
    cell = _cell(page, "5", "10")
    cell.click()
    expect(page.locator("#cell h3")).to_have_text("params.fast 5, params.slow 10: 1 trial, 1 completed")
    expect(page.locator("#cell th[scope=col]")).to_have_text(f"trial {trial}")


def test_what_was_not_run_says_why(page: Page, report: Path) -> None:
    _open(page, report)
    for trial, state, why in (
        (INVALID, "invalid", "fast is not below slow"),
        (FAILED, "failed", "it raised"),
    ):
        row = ROWS.iloc[trial]
        _choose(page, "params.fast", "params.slow")
        for name, value in (
            ("stop_loss_frac", "none" if pd.isna(row["stop_loss_frac"]) else "0.05"),
            ("symbols", "+".join(json.loads(row["symbols"]))),
        ):
            page.locator("#heat-choices label", has_text=f"{name} is").locator("select").select_option(
                label=value
            )
        cell = _cell(page, str(row["params.fast"]), str(row["params.slow"]))
        expect(cell).to_have_class("unranked")
        cell.click()
        expect(page.locator("#cell")).to_contain_text(state)
        expect(page.locator("#cell")).to_contain_text(why)


def test_arrow_keys_move_and_enter_opens(page: Page, report: Path) -> None:
    _open(page, report)
    _choose(page, "params.fast", "params.slow")
    _cell(page, "2", "10").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#cell h3")).to_contain_text("params.fast 3, params.slow 20")
    assert page.evaluate("document.activeElement.id") == "cell"
    assert page.locator("#heat td[tabindex='0']").count() == 1


def test_the_link_of_an_opened_trial_asks_for_that_trial(page: Page, report: Path) -> None:
    _open(page, report)
    for pick in page.locator("#best-trials .pick").all()[:3]:
        trial = int(pick.inner_text())
        pick.click()
        expect(page.locator("#cell h3")).to_have_text(f"Trial {trial}")
        address = page.locator("#cell a.launch").get_attribute("href") or ""
        config = json.loads(unquote(address.split("?config=")[1]))
        assert from_run_config(config) == request_of_row(REQUEST, TABLE.slice(trial, 1))
        assert page.locator("#cell a.launch").is_hidden(), "a file knows no server"


def test_a_click_on_a_line_opens_its_trial_and_the_slider_hides_the_worse(page: Page, report: Path) -> None:
    _open(page, report)
    lines = page.locator("#parallel path[data-trial]")
    count = lines.count()
    assert count == int(ROWS["rank"].notna().sum())
    page.locator("#parallel-range").fill("10")
    expect(page.locator("#parallel path[data-trial]:not([hidden])")).to_have_count(-(-count // 10))
    winner = page.locator("#parallel path.winner")
    winner.dispatch_event("click")
    best = int(_best(ROWS)["trial"])
    expect(page.locator("#cell h3")).to_have_text(f"Trial {best}")
    expect(winner).to_have_class(re.compile("chosen"))


def test_numbers_are_written_as_everywhere_else(page: Page, report: Path) -> None:
    """Halves, what only looks like one, and numbers too long to be written out."""
    values = [
        0.0,
        -0.0,
        -0.001,
        1 / 32,
        0.125,
        -0.375,
        2.675,
        1.005,
        25.265002229896613,
        1234567.895,
        0.5,
        1.5,
        2.5,
    ]
    values += [1.0, -3.0, 12.25, 999.995, 1e12, 3.14e55, -7.5e20, 99999.99999]
    _open(page, report)
    for name in ("sharpe", "total_return", "trades", "final_equity", "max_drawdown_days"):
        unit = {"unit": facts_of(name).unit}
        written = page.evaluate(
            "([unit, values]) => values.map((value) => sweepTrials.shown(unit, value))", [unit, values]
        )
        assert written == [shown_with_unit(name, value) for value in values], name


def test_the_best_sort_by_what_varies(page: Page, report: Path) -> None:
    _open(page, report)
    page.locator("#best-trials thead button", has_text="params.fast").click()
    firsts = page.locator("#best-trials tbody tr td:nth-child(3)").all_inner_texts()
    assert firsts == sorted(firsts, key=int, reverse=True)


def test_curves_of_the_best_can_be_hidden(page: Page, report: Path) -> None:
    _open(page, report)
    seen = "Bokeh.documents.at(-1).get_model_by_name('equity-1').visible"
    assert page.evaluate(seen) is True
    page.locator('[data-line="1"]').click()
    assert page.evaluate(seen) is False


def test_a_narrow_window_needs_no_scrolling_sideways(page: Page, report: Path) -> None:
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 400, "height": 900})
    _open(page, report)
    page.locator("#heat td[tabindex]").first.click()
    for width in (400, 800):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


def test_texts_from_users_run_nothing(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(hostile_page(tmp_path), encoding="utf-8")
    _open(page, path)
    for cell in page.locator("#heat td[tabindex]").all():
        cell.click()
    expect(page.locator("#cell")).to_contain_text("<img src=x")
    page.locator("#best-trials .pick").first.click()
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0


@pytest.mark.parametrize(
    "which",
    ["one name", "truth values, texts and nothing", "none ranks", "all invalid but one", "very large"],
)
def test_sweeps_at_the_edge_open(page: Page, tmp_path: Path, which: str) -> None:
    asked, table = edge_table(which)
    path = tmp_path / "edge.html"
    path.write_bytes(sweep_report(tmp_path, stored(tmp_path, asked, table)))
    _open(page, path)
    page.locator("#heat td[tabindex]").first.click()
    for key in asked.space:
        expect(page.locator("#cell table").first).to_contain_text(key)


def test_ranges_without_steps_show_exact_values(page: Page, tmp_path: Path) -> None:
    asked = sweep_of(
        {"fee_bps": FloatRange(0, 20), "params.fast": IntRange(2, 900)}, search="random", trials=60
    )
    table = table_of(asked)
    path = tmp_path / "drawn.html"
    path.write_bytes(sweep_report(tmp_path, stored(tmp_path, asked, table)))
    _open(page, path)
    page.locator("#best-trials .pick").first.click()
    best = table.to_pandas().sort_values("rank").iloc[0]
    values = page.locator("#cell td.value").all_inner_texts()
    assert {float(one) for one in values} == {best["fee_bps"], best["params.fast"]}
