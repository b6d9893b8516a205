"""The report of a shared account: weights, exposure, turnover and contributions, by worked arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from backtest_pipeline import BacktestResult, Candles
from backtest_pipeline.model import remark_texts
from backtest_pipeline.model.remark_texts import template_of_symbols
from backtest_pipeline.reports.charts.portfolio_figures import MOST_BARS, layers_of, shown_contributions
from backtest_pipeline.reports.portfolio_section import MOST_ROWS
from backtest_pipeline.reports.portfolio_statistics import (
    MOST_STRETCHES,
    Portfolio,
    portfolio_of,
    skipped_entries,
)
from backtest_pipeline.reports.report import report_html
from backtest_pipeline_tests.chromium import chromium
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk
from backtest_pipeline_tests.results.bookkeeping import Fill, kept_by_hand

pytestmark = pytest.mark.slow

BORROWING = {"leverage": 9.0, "maintenance_margin_frac": 0.01, "direction": "both"}


def _portfolio(result: BacktestResult, candles: dict[str, Candles]) -> Portfolio:
    found = portfolio_of(result, candles)
    assert found is not None
    return found


def _two() -> dict[str, Candles]:
    """Each bar opens at the close before: A at 100, 100, 110, 120; B at 50, 50, 40, 40."""
    return {
        "A": candles_of([100.0, 110.0, 120.0, 120.0], "A"),
        "B": candles_of([50.0, 40.0, 40.0, 40.0], "B"),
    }


def _long_and_short() -> BacktestResult:
    """5 of A bought and 4 of B sold short at the second open, both closed at the last, of 1 000."""
    fills = [Fill(1, "A", 5.0), Fill(1, "B", -4.0), Fill(3, "A", -5.0), Fill(3, "B", 4.0)]
    return kept_by_hand(_two(), fills, **BORROWING)


def test_weights_are_the_value_at_the_close_over_equity() -> None:
    """At the second close 5 * 110 = 550 less 4 * 40 = 160, with 1 000 - 500 + 200 of cash: 1 090."""
    found = _portfolio(_long_and_short(), _two())
    assert found.longs["A"].tolist() == pytest.approx([0.0, 550 / 1_090, 600 / 1_140, 0.0])
    assert found.shorts["B"].tolist() == pytest.approx([0.0, 160 / 1_090, 160 / 1_140, 0.0])
    assert not found.longs["B"].any()
    assert not found.shorts["A"].any()
    assert found.gross.tolist() == pytest.approx([0.0, 710 / 1_090, 760 / 1_140, 0.0])
    assert found.net.tolist() == pytest.approx([0.0, 390 / 1_090, 440 / 1_140, 0.0])
    assert found.positions.tolist() == [0, 2, 2, 0]
    assert found.by_weight == ["A", "B"]


def test_a_symbol_without_candles_is_valued_as_it_was_when_it_last_changed() -> None:
    """Of A, 5 * 100 = 500 at the second bar's open."""
    found = _portfolio(_long_and_short(), {"B": _two()["B"]})
    assert found.longs["A"].tolist() == pytest.approx([0.0, 500 / 1_090, 500 / 1_140, 0.0])


def test_turnover_is_half_of_what_was_traded_over_the_mean_equity() -> None:
    """500 and 4 * 50 at first, 5 * 120 and 4 * 40 at last: 1 460, half of it over the mean equity."""
    found = _portfolio(_long_and_short(), _two())
    assert sorted(found.traded_value.tolist()) == [160.0, 200.0, 500.0, 600.0]
    months, turnover = found.turnover_by_month
    assert months.astype(str).tolist() == ["2020-01"]
    mean = (1_000 + 1_090 + 1_140 + 1_140) / 4
    assert turnover.tolist() == pytest.approx([730 / mean])
    assert found.turnover_a_year is None, "four days say nothing of a year"


def test_turnover_of_a_year_is_that_of_its_days() -> None:
    """1 000 bought and sold again, of 1 000, within 365.25 days."""
    candles = {"A": candles_of(np.full(1_462, 100.0), "A", "4h")}  # 1 461 steps of four hours are 243.5 days
    found = _portfolio(
        kept_by_hand(candles, [Fill(1, "A", 10.0), Fill(9, "A", -10.0)], timeframe="4h"), candles
    )
    assert found.turnover_a_year == pytest.approx(365.25 / 243.5)


def test_what_is_added_to_a_position_counts_and_what_stays_does_not() -> None:
    """2 at 100 and 2 more at 110; one leaves at 120, and three stay to the end."""
    candles = _two()
    found = _portfolio(
        kept_by_hand(candles, [Fill(1, "A", 2.0), Fill(2, "A", 2.0), Fill(3, "A", -1.0)]), candles
    )
    assert sorted(found.traded_value.tolist()) == [120.0, 200.0, 220.0]


def test_a_reversal_trades_what_it_closes_and_what_it_opens() -> None:
    """2 are sold at 110, and 3 more short."""
    candles = _two()
    fills = [Fill(1, "A", 2.0), Fill(2, "A", -2.0), Fill(2, "A", -3.0)]
    found = _portfolio(kept_by_hand(candles, fills, **BORROWING), candles)
    assert sorted(found.traded_value.tolist()) == [200.0, 220.0, 330.0]


def test_contributions_add_up_to_the_total_return() -> None:
    """A: 5 * 20 = 100, B: 4 * 10 = 40, of 1 000. A is held at two of four closes."""
    found = _portfolio(_long_and_short(), _two())
    first, second = found.contributions
    assert (first.symbol, first.pnl, first.frac, first.trades) == ("A", 100.0, 0.1, 1)
    assert (second.symbol, second.pnl, second.frac, second.held_frac) == ("B", 40.0, 0.04, 0.5)
    assert sum(one.frac for one in found.contributions) == pytest.approx(
        _long_and_short().metrics["total_return"]
    )


def test_what_was_skipped_is_counted_by_reason() -> None:
    result = _long_and_short()
    of = template_of_symbols
    result.diagnostics.extend(
        [
            of(remark_texts.SKIPPED, one_symbol=True, once=True).format("A", "1"),
            of(remark_texts.SKIPPED_SLOTS, one_symbol=False, once=False).format("A and B", "1,204"),
            "A ends in an open position, marked to the last close (1 time).",
        ]
    )
    assert skipped_entries(result) == {"cash": 1, "slots": 1_204}


def _many(symbols: int, bars: int) -> tuple[dict[str, Candles], BacktestResult]:
    """Many symbols, each bought at a bar of its own and sold half way to the end."""
    candles = {f"S{place:03d}": candles_of(walk(bars, place), f"S{place:03d}") for place in range(symbols)}
    fills = []
    for place, symbol in enumerate(candles):
        bar = 1 + place % (bars // 2)
        quantity = (-1.0 if place % 5 == 0 else 1.0) * (1.0 + place % 7) / symbols
        fills += [Fill(bar, symbol, quantity), Fill((bar + bars) // 2, symbol, -quantity)]
    return candles, kept_by_hand(candles, sorted(fills, key=lambda one: one.bar), **BORROWING)


def test_of_many_symbols_the_largest_are_shown_and_the_others_as_one() -> None:
    candles, result = _many(60, 40)
    found = _portfolio(result, candles)
    longs, shorts = (np.sum([*layers_of(found, short=short).values()], axis=0) for short in (False, True))
    assert len(layers_of(found, short=False)) == 9
    assert longs - shorts == pytest.approx(found.net)
    assert longs + shorts == pytest.approx(found.gross)
    shown = shown_contributions(found.contributions)
    assert len(shown) == MOST_BARS + 1
    assert sum(shown.values()) == pytest.approx(result.metrics["total_return"])


def test_the_page_stays_small_with_five_hundred_symbols() -> None:
    candles, result = _many(500, 60)
    html = report_html(result, candles)
    assert html.count('<tr><th scope="row">S0') + html.count('<tr><th scope="row">S4') < 400
    assert f"{500 - MOST_ROWS} more are left out." in html
    assert len(html) < 6_000_000


def test_weights_of_long_histories_are_means_of_stretches() -> None:
    """Of 3 000 bars each six make one; of the first, 2 at 100 are held at five closes, of 1 000."""
    candles = {"A": candles_of(np.full(3_000, 100.0), "A")}
    found = _portfolio(kept_by_hand(candles, [Fill(1, "A", 2.0)]), candles)
    assert len(found.starts) == MOST_STRETCHES
    assert found.longs["A"][:2].tolist() == pytest.approx([0.2 * 5 / 6, 0.2])
    [only] = found.contributions
    assert (only.mean_weight, only.held_frac) == pytest.approx((0.2 * 2_999 / 3_000, 2_999 / 3_000))


def test_the_head_says_what_is_unlike_a_plain_backtest() -> None:
    head = report_html(_long_and_short(), _two()).partition("</header>")[0]
    for name, value in (("account", "shared"), ("leverage", "9"), ("maintenance_margin_frac", "0.01")):
        assert f"<li>{name} <b>{value}</b></li>" in head
    plain = {"AAPL": candles_of(walk(60), "AAPL")}
    assert (
        "account"
        not in report_html(backtest(plain), plain).partition("</header>")[0].partition("<header>")[2]
    )


def test_a_report_of_an_account_a_symbol_says_nothing_of_portfolios() -> None:
    candles = {"AAPL": candles_of(walk(60), "AAPL")}
    html = report_html(backtest(candles), candles)
    assert 'id="weights"' not in html
    assert portfolio_of(backtest(candles), candles) is None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def _opened(browser: Browser, path: Path, locale: str, width: int) -> Page:
    page = browser.new_page(locale=locale, viewport={"width": width, "height": 900})
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-drawn]")
    return page


@pytest.mark.parametrize(("locale", "title"), [("en-US", "Weights over time"), ("ko-KR", "종목별 비중 추이")])
@pytest.mark.parametrize("width", [1_200, 400])
def test_a_portfolio_is_drawn_in_both_languages_and_at_any_width(
    browser: Browser, tmp_path: Path, locale: str, title: str, width: int
) -> None:
    candles, result = _many(12, 60)
    skipped = template_of_symbols(remark_texts.SKIPPED_SLOTS, one_symbol=False, once=False)
    result = replace(result, diagnostics=[skipped.format("S001 and S002", "7")])
    path = tmp_path / "report.html"
    path.write_text(report_html(result, candles), encoding="utf-8")
    page = _opened(browser, path, locale, width)
    assert page.locator("section:has(#weights) h2").inner_text() == title
    for name in ("weights", "gross-net", "open-positions", "turnover", "contributions"):
        box = page.locator(f"#{name} canvas").first.bounding_box()
        assert box is not None, name
        assert box["width"] > 200, name
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    numbers = page.locator("section:has(.further)").inner_text()
    assert "\t7" in numbers
    if locale == "ko-KR":
        assert "Entries that were skipped" not in numbers
        assert "이미 `max_positions`만큼 보유 중이어서" in page.locator("section.remarks").inner_text()
    page.close()
