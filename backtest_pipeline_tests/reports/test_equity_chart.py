"""The picture of an account."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from backtest_pipeline import BacktestResult, Candles
from backtest_pipeline.model.timeframe import Timeframe
from backtest_pipeline.reports.benchmark_curve import buy_and_hold
from backtest_pipeline.reports.charts import equity_chart
from backtest_pipeline.reports.charts.equity_chart import compact_money, equity_figure, equity_png
from backtest_pipeline.reports.charts.palette import DARK, LIGHT, LINES, SERIES, TEXTS
from backtest_pipeline_tests.reports.made import backtest, candles_of, moments, walk

pytestmark = pytest.mark.slow

# Linear light of an sRGB colour and contrast as WCAG 2.1 defines them.


def _luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def _rgb(name: str) -> tuple[int, int, int]:
    colour = LIGHT[name]
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _near(png: bytes, name: str) -> NDArray[np.bool_]:
    """Where the picture has about this colour."""
    pixels = np.asarray(_picture(png)).astype(np.int64)
    return np.asarray(np.abs(pixels - _rgb(name)).max(axis=2) <= 12)


def _held(result: BacktestResult, candles: dict[str, Candles]) -> NDArray[np.float64]:
    return buy_and_hold(result.request, candles, moments(len(result.equity)))


def test_contrast_is_measured_as_the_standard_says() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_and_lines_can_be_told_from_their_background(colours: dict[str, str]) -> None:
    for background in (colours["panel"], colours["page"]):
        assert min(_contrast(colours[name], background) for name in TEXTS) >= 4.5
        assert min(_contrast(colours[name], background) for name in LINES) >= 3


def test_curves_of_a_comparison_can_be_told_from_both_backgrounds() -> None:
    for colour in SERIES:
        assert _contrast(colour, LIGHT["panel"]) >= 3
        assert _contrast(colour, DARK["panel"]) >= 3


def test_colours_of_a_page_are_all_different_so_that_one_can_be_swapped_for_its_dark_twin() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)
    assert not set(LIGHT.values()) & set(SERIES)


def test_the_picture_is_large_opaque_and_small_on_disk() -> None:
    candles = {"AAPL": candles_of(walk(1_000))}
    png = equity_png(backtest(candles), _held(backtest(candles), candles))
    image = Image.open(io.BytesIO(png))
    assert image.size == (960, 540)
    assert image.convert("RGBA").getchannel("A").getextrema() == (255, 255)
    assert _near(png, "panel")[5, 5]
    assert len(png) < 150_000
    for name in ("equity", "benchmark", "loss"):
        assert _near(png, name).sum() > 500


def test_without_a_benchmark_there_is_no_line_of_it() -> None:
    candles = {"AAPL": candles_of(walk(300))}
    result = backtest(candles)
    plot = np.s_[84:348, 90:936]
    with_it, without = equity_png(result, _held(result, candles)), equity_png(result)
    assert _near(with_it, "benchmark")[plot].sum() > 10 * _near(without, "benchmark")[plot].sum()


def test_the_same_result_yields_the_same_bytes() -> None:
    candles = {"AAPL": candles_of(walk(300))}
    assert equity_png(backtest(candles)) == equity_png(backtest(candles))


def test_equity_that_rises_is_drawn_rising() -> None:
    result = backtest({"AAPL": candles_of(np.linspace(100, 200, 200))}, strategy="buy_and_hold")
    rows, columns = np.nonzero(_near(equity_png(result), "equity")[84:360, 90:936])
    left, right = rows[columns < 60].mean(), rows[columns > 780].mean()
    assert left - right > 120  # rows count downwards


@pytest.mark.parametrize(
    "closes",
    [np.array([100.0]), np.array([100.0, 101.0]), np.full(50, 100.0), np.linspace(1.0, 1e12, 50)],
    ids=["one bar", "two bars", "no movement", "astronomic"],
)
def test_odd_accounts_are_drawn(closes: NDArray[np.float64]) -> None:
    candles = {"AAPL": candles_of(closes)}
    result = backtest(candles, strategy="buy_and_hold", fill="close")
    assert _picture(equity_png(result, _held(result, candles))).size == (960, 540)


def test_a_liquidated_account_is_drawn_down_to_nothing() -> None:
    result = backtest({"AAPL": candles_of(walk(60))})
    gone = result.equity.assign(equity=np.linspace(10_000, 0, 60), drawdown_frac=np.linspace(0, 1, 60))
    assert _picture(equity_png(replace(result, equity=gone))).size == (960, 540)


def test_hundreds_of_trades_are_thinned_to_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    result = backtest({"AAPL": candles_of(walk(3_000))})
    assert len(result.trades) > 150
    few = equity_png(result)
    monkeypatch.setattr(equity_chart, "MOST_MARKED_TRADES", 1_000)
    assert _near(equity_png(result), "loss").sum() > _near(few, "loss").sum()


def test_a_strategy_with_a_name_like_a_formula_is_written_as_it_is() -> None:
    result = backtest({"AAPL": candles_of(walk(30))})
    for name in ("$\\frac$", "x" * 500, "<b>&", "日本\n"):
        renamed = replace(result, request=result.request.model_copy(update={"strategy": name}))
        assert equity_png(renamed) != equity_png(result)


def test_a_thousand_candles_are_drawn_in_a_fraction_of_a_second() -> None:
    result = backtest({"AAPL": candles_of(walk(1_000))})
    taken = []
    for _ in range(5):
        start = time.process_time()
        equity_png(result)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.3


def test_a_million_bars_take_hardly_longer() -> None:
    bars = 1_000_000
    result = backtest({"AAPL": candles_of(walk(200))})
    equity = result.equity.iloc[np.zeros(bars, dtype=np.int64)].assign(
        timestamp=moments(bars, "1m"), equity=walk(bars, step=0.001), drawdown_frac=0.5
    )
    equity["timestamp"] = equity["timestamp"].dt.tz_localize("UTC")
    start = time.process_time()
    equity_png(replace(result, equity=equity))
    assert time.process_time() - start < 2


DAY = ["06:00", "12:00", "18:00"]


@pytest.mark.parametrize(
    ("bars", "timeframe", "start", "labels", "below"),
    [
        (1_000, "1d", "2020-01-01", ["2020", "Jul", "2021", "Jul", "2022", "Jul"], ""),
        (9_000, "1d", "1990-01-05", ["1992", "1996", "2000", "2004", "2008", "2012"], ""),
        (60, "1d", "2020-01-01", ["Jan", "15", "Feb", "15"], "2020"),
        (40, "1d", "2019-12-10", ["15", "22", "Jan", "08", "15"], "2020"),
        (30, "5m", "2024-01-20T09:00", ["09:00", "09:30", "10:00", "10:30", "11:00"], "20 Jan 2024"),
        (30, "1h", "2024-01-20T09:00", ["12:00", "18:00", "21 Jan", "06:00", "12:00"], "21 Jan 2024"),
        (1, "1d", "2020-01-01", [*DAY, "01 Jan", *DAY], "01 Jan 2020"),
    ],
)
def test_the_time_axis_says_what_changes_and_once_what_does_not(
    bars: int, timeframe: Timeframe, start: str, labels: list[str], below: str
) -> None:
    result = backtest({"AAPL": candles_of(walk(bars), timeframe=timeframe, start=start)})
    said = _time_labels(result)
    assert [label for _, label in said] == labels
    [axes, _] = _drawn(result).axes
    assert axes.xaxis.get_major_formatter().get_offset() == below


@settings(max_examples=60, deadline=None)
@given(start=st.integers(-(10**9), 4 * 10**9), seconds=st.integers(1, 3 * 10**9))
def test_ticks_lie_within_the_span_in_order_and_are_few(start: int, seconds: int) -> None:
    two = backtest({"AAPL": candles_of([100.0, 101.0])}, strategy="buy_and_hold")
    span = np.array([start, start + seconds]).astype("datetime64[s]")
    equity = two.equity.assign(timestamp=pd.Series(span.astype("datetime64[us]")).dt.tz_localize("UTC"))
    at = [place for place, _ in _time_labels(replace(two, equity=equity, trades=two.trades.iloc[:0]))]
    assert 2 <= len(at) <= 9
    first, last = (date2num(moment) for moment in span)  # type: ignore[no-untyped-call]  # Matplotlib's
    assert first <= at[0] < at[-1] <= last
    assert at == sorted(at)


def _drawn(result: BacktestResult) -> Figure:
    figure = equity_figure(result)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]  # as above
    return figure


def _time_labels(result: BacktestResult) -> list[tuple[float, str]]:
    """Place and label of each tick of the time axis that is shown."""
    [axes, _] = _drawn(result).axes
    first, last = axes.get_xlim()
    return [
        (at, text.get_text())
        for at, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if first <= at <= last
    ]


@pytest.mark.parametrize("strategy", ["x", "a_strategy_of_some_length", "w" * 400, "日本" * 50])
def test_a_title_ends_before_the_numbers_and_everything_lies_within_the_picture(strategy: str) -> None:
    result = backtest({"AAPL": candles_of(walk(1_000))})
    renamed = replace(result, request=result.request.model_copy(update={"strategy": strategy}))
    figure = _drawn(renamed)
    numbers, title = (
        next(text for text in figure.texts if part in text.get_text())
        for part in ("Sharpe", _begin(strategy))
    )
    assert title.get_window_extent().x1 < numbers.get_window_extent().x0 - 10
    [legend] = figure.legends
    [remark] = [text for text in figure.texts if "are marked" in text.get_text()]
    assert legend.get_window_extent().x1 < remark.get_window_extent().x0 - 5
    shown_texts = [*figure.texts, *(text for axes in figure.axes for text in axes.get_xticklabels())]
    for box in (text.get_window_extent() for text in shown_texts):
        assert box.x0 >= 0
        assert box.x1 <= 960


def _begin(strategy: str) -> str:
    return strategy[:5] if strategy.isascii() else "?????"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (2.5, "2.5"),
        (950.0, "950"),
        (10_500.0, "10,500"),
        (-10_500.0, "-10,500"),
        (1_250_000.0, "1.25M"),
        (3e9, "3B"),
        (7e12, "7T"),
    ],
)
def test_money_is_written_short(value: float, text: str) -> None:
    assert compact_money(value) == text
