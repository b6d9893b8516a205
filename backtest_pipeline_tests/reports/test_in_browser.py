"""Reports in a real browser: they draw, sort and switch, call nobody and run nothing that is not theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image, ImageColor
from playwright.sync_api import Browser, Page, expect

from backtest_pipeline import BacktestResult, Candles
from backtest_pipeline.model.drawing import Drawing
from backtest_pipeline.model.metric_catalog import shown
from backtest_pipeline.reports.charts.palette import DARK, LIGHT
from backtest_pipeline.reports.comparison import comparison_html
from backtest_pipeline.reports.report import HEADLINES, report_html
from backtest_pipeline_tests.chromium import chromium
from backtest_pipeline_tests.reports.made import backtest, candles_of, manifest_of, walk

IMAGE = "<img src=x onerror=window.hacked=1>"
SCRIPT = "</script><script>window.hacked=1</script>"
SYMBOLS = ("AAPL", "IBM", "MSFT")


@dataclass
class Visit:
    """A page and what went on in it."""

    page: Page
    troubles: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def go(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-drawn]")

    def source(self, name: str) -> dict[str, list[Any]]:
        """Columns of one of Bokeh's sources, as plain lists."""
        columns: dict[str, list[Any]] = self.page.evaluate(
            "name => Object.fromEntries(Object.entries(Bokeh.documents.at(-1).get_model_by_name(name).data)"
            ".map(([key, column]) => [key, Array.from(column)]))",
            name,
        )
        return columns


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A visit that must end without an error and without a request beyond the page's own file."""
    visit = Visit(browser.new_page(viewport={"width": 1_280, "height": 900}))
    visit.page.on("pageerror", lambda error: visit.troubles.append(str(error)))
    visit.page.on(
        "console",
        lambda message: visit.troubles.append(message.text) if message.type in {"error", "warning"} else None,
    )
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    yield visit
    visit.page.close()
    assert visit.troubles == []
    assert {url.split(":")[0] for url in visit.requests} <= {"file", "data", "blob"}
    assert len([url for url in visit.requests if url.startswith("file")]) == 1


@pytest.fixture(scope="module")
def candles() -> dict[str, Candles]:
    return {name: candles_of(walk(400, place), name) for place, name in enumerate(SYMBOLS)}


@pytest.fixture(scope="module")
def result(candles: dict[str, Candles]) -> BacktestResult:
    ran = backtest(candles, labels={"idea": "trend"})
    return replace(ran, manifest=manifest_of(ran, candles))


def test_a_report_draws_its_charts_and_shows_the_metrics_as_they_are_shown_everywhere(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.go(tmp_path / "report.html", report_html(result, candles))
    for name in HEADLINES:
        tile = visit.page.locator(f'.tile [data-metric="{name}"]')
        expect(tile).to_have_text(shown(name, result.metrics[name]))
    for chart in (
        *("equity", "drawdown", "exposure", "price", "volume", "years", "spread", "histogram"),
        *("rolling-return", "rolling-volatility", "sharpe", "rolling-beta"),
    ):
        canvas = visit.page.locator(f"#{chart} canvas").first
        expect(canvas).to_be_visible()
        size = canvas.bounding_box()
        assert size
        assert size["width"] > 300


def test_clicking_a_heading_sorts_the_trades(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.go(tmp_path / "report.html", report_html(result, candles))
    heading = visit.page.locator('#trades-table th[data-column="pnl"] button')

    def first_profit() -> float:
        cell = visit.page.locator("#trades-table tbody tr").first.locator("td").nth(7)
        return float(cell.inner_text().replace(",", ""))

    heading.click()
    assert first_profit() == pytest.approx(result.trades["pnl"].max(), abs=0.005)
    heading.click()
    assert first_profit() == pytest.approx(result.trades["pnl"].min(), abs=0.005)
    expect(visit.page.locator('#trades-table th[data-column="pnl"]')).to_have_attribute(
        "aria-sort", "ascending"
    )


def test_pages_of_trades_follow_one_another(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.go(tmp_path / "report.html", report_html(result, candles))
    count = len(result.trades)
    assert count > 25
    pager = visit.page.locator("#trades-pager")
    expect(pager.locator("span")).to_have_text(f"1 to 25 of {count}")
    pager.get_by_text("Next").click()
    expect(pager.locator("span")).to_have_text(f"26 to {min(50, count)} of {count}")


def test_choosing_a_symbol_shows_its_candles_and_its_trades(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.go(tmp_path / "report.html", report_html(result, candles))
    for symbol in ("AAPL", "IBM"):
        visit.page.locator(f'[data-symbol="{symbol}"]').click()
        drawn = visit.source("candles")
        assert drawn["c"] == pytest.approx(candles[symbol].close.tolist(), rel=1e-6)
        own = result.trades[result.trades["symbol"] == symbol]
        prices = [*own["exit_price"], *own["entry_price"]]
        assert visit.source("marks")["y"] == pytest.approx(prices, rel=1e-6)


def test_clicking_a_trade_brings_it_into_sight(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.go(tmp_path / "report.html", report_html(result, candles))
    row = visit.page.locator("#trades-table tbody tr").nth(7)
    symbol = row.locator("td").first.inner_text()
    row.click()
    span = visit.page.evaluate(
        "(() => { const span = Bokeh.documents.at(-1).get_model_by_name('span');"
        " return [span.start, span.end]; })()"
    )
    entry = result.trades.sort_values("entry_time", kind="stable").iloc[7]
    assert span[0] < entry["entry_time"].timestamp() * 1_000 < span[1]
    assert span[1] - span[0] < 200 * 86_400_000  # of 400 days
    expect(visit.page.locator(f'[data-symbol="{symbol}"]')).to_have_attribute("aria-pressed", "true")


def _span(visit: Visit) -> list[float]:
    span: list[float] = visit.page.evaluate(
        "(() => { const span = Bokeh.documents.at(-1).get_model_by_name('span');"
        " return [span.start, span.end]; })()"
    )
    return span


def _look_at(visit: Visit, first: float, last: float) -> None:
    """Puts a span into sight and waits until the candles have followed."""
    visit.page.evaluate(
        "async ([start, end]) => { Bokeh.documents.at(-1).get_model_by_name('span').setv({ start, end });"
        " await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))); }",
        [first, last],
    )


@pytest.mark.parametrize("width", [1_300, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_candle_beyond_the_frame_is_drawn_at_its_edge(
    visit: Visit,
    tmp_path: Path,
    candles: dict[str, Candles],
    result: BacktestResult,
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.page.emulate_media(color_scheme=scheme)
    visit.go(tmp_path / "report.html", report_html(result, candles))
    visit.page.locator("#trades-table tbody tr").nth(7).click()
    _look_at(visit, *_span(visit))
    first, last = _span(visit)
    drawn = visit.source("candles")
    assert drawn["x"]
    assert all(right > first for right in drawn["right"])
    assert all(left < last for left in drawn["left"])
    visit.page.wait_for_timeout(200)  # until it is painted
    picture = Image.open(BytesIO(visit.page.locator("#price canvas").first.screenshot())).convert("RGB")
    colours = {ImageColor.getrgb(tone) for tone in _bars_colours(scheme)}
    pixels = picture.load()
    assert pixels
    for x in range(picture.width):
        tall = sum(pixels[x, y] in colours for y in range(picture.height))
        assert tall < 0.6 * picture.height, f"a bar of {tall} pixels at {x} of {picture.width}"


def _bars_colours(scheme: str) -> list[str]:
    palette = DARK if scheme == "dark" else LIGHT
    return [palette["gain"], palette["loss"]]


def test_candles_are_the_bars_themselves_from_some_zoom_on_and_everything_agrees_with_the_level_stated(
    visit: Visit, tmp_path: Path
) -> None:
    own = candles_of(walk(3_000), "AAPL")
    visit.go(tmp_path / "report.html", report_html(backtest({"AAPL": own}), {"AAPL": own}))
    note = visit.page.locator("#candle-note")
    expect(note).to_have_text("each candle is 10 bars")  # 3,000 bars, 2.5 pixels each, in less than 1,200
    assert visit.source("candles")["v"][0] == 10 * own.volume[0]
    centres = set(visit.source("candles")["x"])
    assert set(visit.source("marks")["x"]) <= centres
    day = 86_400_000
    start = float(own.timestamp[1_000].astype("datetime64[ms]").astype(int))
    _look_at(visit, start - day / 2, start + 300 * day - day / 2)
    expect(note).to_have_text("each candle is one bar")
    drawn = visit.source("candles")
    assert drawn["c"] == pytest.approx(own.close[1_000:1_300].tolist(), rel=1e-6)
    assert drawn["v"] == own.volume[1_000:1_300].tolist()


def test_the_strategy_s_lines_follow_the_candles_at_every_level(visit: Visit, tmp_path: Path) -> None:
    own = candles_of(walk(3_000), "AAPL")
    index = np.linspace(0.0, 100.0, 3_000)
    drawing = Drawing({IMAGE: own.close * 1.5}, {SCRIPT: {IMAGE: index, "level": 30.0}})
    result = backtest({"AAPL": own})
    visit.go(tmp_path / "report.html", report_html(result, {"AAPL": own}, {"AAPL": drawing}))
    tens = visit.source("line--1-0")
    assert tens["x"] == visit.source("candles")["x"]
    assert tens["y"] == pytest.approx(
        (1.5 * own.close[9::10]).tolist(), rel=1e-6
    )  # at each candle's last bar
    assert set(visit.source("line-0-1")["y"]) == {30.0}
    day = 86_400_000
    start = float(own.timestamp[1_000].astype("datetime64[ms]").astype(int))
    _look_at(visit, start - day / 2, start + 300 * day - day / 2)
    assert visit.source("line-0-0")["y"] == pytest.approx(index[1_000:1_300].tolist(), rel=1e-6)
    expect(visit.page.locator("#readout")).to_contain_text(IMAGE)
    expect(visit.page.locator(".pane").nth(2)).to_have_text(SCRIPT)  # below drawdown and exposure
    expect(visit.page.locator("#pane-0 canvas").first).to_be_visible()
    assert visit.page.evaluate("window.hacked") is None


def test_buttons_bring_years_into_sight_and_a_logarithmic_scale_follows_them(
    visit: Visit, tmp_path: Path
) -> None:
    own = candles_of(walk(3_000, step=0.02), "AAPL")
    visit.go(tmp_path / "report.html", report_html(backtest({"AAPL": own}), {"AAPL": own}))
    whole = _span(visit)
    visit.page.locator('[data-years="1"]').first.click()
    year, last = 365.25 * 86_400_000, float(own.timestamp[-1].astype("datetime64[ms]").astype(int))
    assert _span(visit) == [pytest.approx(last - year), pytest.approx(last + 0.01 * year)]
    visit.page.locator("[data-log]").first.click()
    expect(visit.page.locator("[data-log]").last).to_have_attribute("aria-pressed", "true")
    scale = "() => Bokeh.documents.at(-1).get_model_by_name('price').y_scale.type"
    visit.page.wait_for_function(f"({scale})() === 'LogScale'")
    assert _span(visit)[0] > whole[0]  # drawn anew, in sight as before
    _look_at(visit, *_span(visit))
    low, high = visit.page.evaluate(
        "(() => { const range = Bokeh.documents.at(-1).get_model_by_name('price').y_range;"
        " return [range.start, range.end]; })()"
    )
    assert own.low[-366:].min() * 0.8 < low < own.low[-366:].min()
    assert own.high[-366:].max() < high < own.high[-366:].max() * 1.25
    visit.page.locator("[data-log]").first.click()
    visit.page.wait_for_function(f"({scale})() === 'LinearScale'")
    visit.page.locator('[data-years="all"]').first.click()
    assert _span(visit) == whole


def test_months_and_trades_are_read_without_scrolling_on_a_telephone(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.page.set_viewport_size({"width": 400, "height": 900})
    visit.go(tmp_path / "report.html", report_html(result, candles))
    for table in (".months", ".trades"):
        frame = visit.page.locator(".wide", has=visit.page.locator(table))
        assert frame.evaluate("frame => frame.scrollWidth - frame.clientWidth") <= 1
    cell = visit.page.locator(".trades tbody td").nth(3)
    assert cell.evaluate("cell => getComputedStyle(cell, '::before').content") == '"Entry at"'
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 400


def test_zooming_stops_before_one_candle_fills_the_pane(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.go(tmp_path / "report.html", report_html(result, candles))
    pane = visit.page.locator("#price")
    pane.scroll_into_view_if_needed()
    pane.hover(position={"x": 600, "y": 150})
    visit.page.keyboard.down("Control")
    for _ in range(60):
        visit.page.mouse.wheel(0, -400)
    visit.page.keyboard.up("Control")
    visit.page.wait_for_timeout(300)
    first, last = _span(visit)
    assert (last - first) / 86_400_000 == pytest.approx(20, abs=0.5)
    drawn = visit.source("candles")
    assert max(drawn["w"]) / (last - first) < 0.05


def test_a_candle_s_values_stand_above_the_chart_and_a_trade_s_tip_has_its_colour(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.go(tmp_path / "report.html", report_html(result, candles))
    visit.page.locator("#trades-table tbody tr").nth(7).click()
    visit.page.wait_for_timeout(900)  # the page scrolls to the chart
    at = visit.page.evaluate(
        "(() => { const bokeh = Bokeh.documents.at(-1), marks = bokeh.get_model_by_name('marks').data;"
        " const view = Bokeh.index.find_one(bokeh.get_model_by_name('price'));"
        " const { start, end } = bokeh.get_model_by_name('span');"
        " const row = marks.x.findIndex((x, row) => x > start && x < end"
        " && marks.what[row].includes('exit'));"
        " const box = view.el.getBoundingClientRect();"
        " return { x: box.left + view.frame.x_scale.compute(marks.x[row]),"
        "   y: box.top + view.frame.y_scale.compute(marks.y[row]), colour: marks.colour[row] }; })()"
    )
    visit.page.mouse.move(at["x"], at["y"])
    tip = visit.page.locator(".bk-Tooltip .tip")
    expect(tip).to_have_count(1)
    assert not re.search("open|close|volume", tip.inner_text())
    name = tip.locator("b").first
    expect(name).to_have_css("color", f"rgb{ImageColor.getrgb(at['colour'])}")
    expect(visit.page.locator("#readout")).to_contain_text(re.compile("open .*high .*low .*close .*volume"))


def test_tables_of_symbols_sort_by_numbers(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.go(tmp_path / "report.html", report_html(result, candles))
    table = visit.page.locator("table.sortable")
    table.locator("thead button").nth(1).click()
    returns = {name: of["total_return"] for name, of in result.by_symbol.items()}
    returns["account"] = result.metrics["total_return"]
    wanted = sorted(returns, key=lambda name: -(returns[name] or 0.0))
    assert table.locator("tbody th").all_inner_texts() == wanted


def test_texts_from_users_run_nothing(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    request = result.request.model_copy(
        update={"strategy": SCRIPT, "params": {IMAGE: SCRIPT}, "labels": {SCRIPT: IMAGE, IMAGE: SCRIPT}}
    )
    hostile = replace(
        result,
        request=request,
        diagnostics=[IMAGE, SCRIPT],
        checks={"look_ahead": {"passed": None, "problem": IMAGE + SCRIPT}},
        trades=result.trades.assign(exit_reason=IMAGE, side=SCRIPT),
    )
    visit.go(tmp_path / "report.html", report_html(hostile, candles))
    visit.page.locator("#trades-table thead button").first.click()
    expect(visit.page.locator("#trades-table")).to_contain_text("<img src=x")
    visit.page.locator("summary").first.click()
    visit.page.wait_for_timeout(300)
    assert visit.page.evaluate("window.hacked") is None
    assert visit.page.locator("img").count() == 0
    expect(visit.page.locator("h1")).to_have_text(SCRIPT)


def test_the_policy_stops_a_script_that_got_in_all_the_same(
    browser: Browser, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    page = browser.new_page()
    path = tmp_path / "report.html"
    text = report_html(result, candles)
    path.write_text(text.replace("<header>", f"{IMAGE}<script>window.hacked=1</script><header>"))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-drawn]")
    assert page.evaluate("window.hacked") is None
    page.close()


@pytest.mark.parametrize(("scheme", "colours"), [("light", LIGHT), ("dark", DARK)])
def test_the_reader_s_colours_are_used(
    visit: Visit,
    tmp_path: Path,
    candles: dict[str, Candles],
    result: BacktestResult,
    scheme: str,
    colours: dict[str, str],
) -> None:
    visit.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    visit.go(tmp_path / "report.html", report_html(result, candles))
    expect(visit.page.locator("html")).to_have_attribute("data-drawn", scheme)
    marks = visit.source("marks")
    assert set(marks["edge"]) == {colours["panel"], colours["gain"], colours["loss"]}
    assert set(marks["colour"]) == {colours["equity"], colours["gain"], colours["loss"]}


def test_changing_the_colours_draws_anew(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.go(tmp_path / "report.html", report_html(result, candles))
    visit.page.emulate_media(color_scheme="dark")
    expect(visit.page.locator("html")).to_have_attribute("data-drawn", "dark")
    expect(visit.page.locator("#equity canvas").first).to_be_visible()
    assert visit.page.locator("#equity > *").count() == 1


def test_a_narrow_window_needs_no_scrolling_sideways(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    for width in (800, 420):
        visit.page.set_viewport_size({"width": width, "height": 900})
        if not visit.requests:
            visit.go(tmp_path / "report.html", report_html(result, candles))
        for _ in range(50):  # charts follow a change of the window a little later
            too_wide = visit.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if too_wide <= 0:
                break
            visit.page.wait_for_timeout(100)
        assert too_wide <= 0


def test_a_table_that_scrolls_says_so(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    visit.page.set_viewport_size({"width": 400, "height": 900})
    visit.go(tmp_path / "report.html", report_html(result, candles))
    frame = visit.page.locator(".wide", has=visit.page.locator(".sortable"))
    said = "element => getComputedStyle(element, '::before').content"
    assert "scroll sideways" in frame.evaluate(said)
    visit.page.set_viewport_size({"width": 6_000, "height": 900})
    visit.page.evaluate("document.body.style.maxWidth = 'none'")
    visit.page.set_viewport_size({"width": 5_990, "height": 900})
    expect(frame).not_to_have_class(re.compile("scrolls"))
    assert frame.evaluate(said) == "none"


def test_an_entry_is_drawn_over_the_exit_at_the_same_bar(visit: Visit, tmp_path: Path) -> None:
    own = {"AAPL": candles_of(walk(200), "AAPL")}
    visit.go(tmp_path / "report.html", report_html(backtest(own, direction="both"), own))
    marks = visit.source("marks")
    places = list(zip(marks["x"], marks["y"], strict=True))
    reversals = [place for place in set(places) if places.count(place) == 2]
    assert reversals
    for place in reversals:
        ring, entry = (row for row, other in enumerate(places) if other == place)  # the later is on top
        assert (marks["marker"][ring], marks["alpha"][ring]) == ("circle", 0)
        assert marks["size"][entry] < marks["size"][ring]


def test_a_report_without_candles_or_trades_draws_what_it_has(visit: Visit, tmp_path: Path) -> None:
    visit.go(tmp_path / "report.html", report_html(backtest({"AAPL": candles_of([10.0] * 30)}), None))
    expect(visit.page.locator("#equity canvas").first).to_be_visible()
    expect(visit.page.locator("#price")).to_contain_text("have changed since")


def test_a_name_in_a_comparison_hides_its_curves(
    visit: Visit, tmp_path: Path, candles: dict[str, Candles], result: BacktestResult
) -> None:
    other = backtest(candles, params={"fast": 5, "slow": 20})
    visit.go(tmp_path / "comparison.html", comparison_html({IMAGE: result, SCRIPT: other}))
    button = visit.page.locator('[data-line="1"]')
    expect(button).to_have_text(re.compile(re.escape(SCRIPT)))
    seen = "name => Bokeh.documents.at(-1).get_model_by_name(name).visible"
    names = ("equity-0", "equity-1", "drawdown-1")
    assert [visit.page.evaluate(seen, name) for name in names] == [True, True, True]
    button.click()
    assert [visit.page.evaluate(seen, name) for name in names] == [True, False, False]
    assert visit.page.evaluate("window.hacked") is None


def test_many_symbols_are_chosen_from_a_list(visit: Visit, tmp_path: Path) -> None:
    many = {f"S{place}": candles_of(walk(40, place), f"S{place}") for place in range(12)}
    visit.go(tmp_path / "report.html", report_html(backtest(many), many))
    visit.page.locator("#symbol").select_option("S7")
    assert visit.source("candles")["o"] == pytest.approx(many["S7"].open.tolist(), rel=1e-6)
