"""The report as text: whole, escaped, closed to any network. How it looks is for `test_in_browser.py`."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from backtest_pipeline import BacktestResult, Candles
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.metric_catalog import METRICS, shown, shown_with_unit
from backtest_pipeline.reports.html_tables import plain, tone
from backtest_pipeline.reports.page import embedded_json
from backtest_pipeline.reports.page_data import candles_data, trades_data
from backtest_pipeline.reports.report import HEADLINES, report_html
from backtest_pipeline.reports.sections import CANDLES_GONE
from backtest_pipeline_tests.reports.made import TASK, backtest, candles_of, manifest_of, walk

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1><!--\u2028'\"&"


class _Page(HTMLParser):
    """What a browser finds: tags with their attributes, texts, and the content of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[tuple[str | None, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.cdata_elem == "script":
            self.scripts.append((self.tags[-1][1].get("id"), data))
        elif self.cdata_elem is None:
            self.text += data

    def data(self, element_id: str) -> Any:
        return json.loads("".join(text for found, text in self.scripts if found == element_id))


def _several() -> dict[str, Candles]:
    return {name: candles_of(walk(150, place), name) for place, name in enumerate(["AAPL", "IBM", "MSFT"])}


def _reported(candles: dict[str, Candles], **changes: Any) -> tuple[BacktestResult, str]:
    result = backtest(candles)
    result = replace(result, manifest=manifest_of(result, candles), **changes)
    return result, report_html(result, candles)


def test_a_report_shows_every_metric_as_it_is_shown_everywhere() -> None:
    result, page = _reported(_several())
    for name, value in result.metrics.items():
        facts = METRICS[name]
        row = re.search(rf"<code>{name}</code></th>(.*?)</tr>", page)
        assert row, name
        assert f">{html.escape(shown_with_unit(name, value))}</td>" in row[1]
        assert html.escape(facts.meaning) in row[1]
    for name in HEADLINES:
        assert f'data-metric="{name}">{html.escape(shown(name, result.metrics[name]))}</b>' in page


def test_a_report_names_task_request_candles_checks_and_versions() -> None:
    candles = _several()
    result, page = _reported(candles)
    text = _Page(page).text
    for wanted in (TASK, result.request.digest(), "numba", "no look-ahead found", "fee_bps"):
        assert wanted in text
    for own in candles.values():
        assert own.fingerprint() in text


def test_remarks_stand_before_the_numbers() -> None:
    _, page = _reported(_several(), diagnostics=["Orders fill at the close."])
    assert 0 < page.index("Orders fill at the close.") < page.index('class="tiles"')


def test_a_page_allows_its_own_scripts_by_their_hash_and_nothing_else() -> None:
    _, page = _reported(_several())
    policy = next(
        attributes["content"] or ""
        for tag, attributes in _Page(page).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    }
    assert set(rules["script-src"].split()) == hashes
    assert "http" not in policy


def test_a_page_loads_nothing() -> None:
    _, page = _reported(_several())
    for tag, attributes in _Page(page).tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img"}
        assert not {"src", "href", "action", "style"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]


@pytest.mark.slow
def test_texts_from_users_are_texts_wherever_they_stand() -> None:
    candles = _several()
    result = backtest(candles)
    texts = {"strategy": HOSTILE, "params": {HOSTILE: HOSTILE}, "labels": {HOSTILE: HOSTILE}}
    request = result.request.model_copy(update=texts)  # as if the gate had let it in
    checks = {"look_ahead": {"passed": None, "problem": HOSTILE}, HOSTILE: {HOSTILE: [HOSTILE]}}
    manifest = manifest_of(replace(result, request=request), candles).model_copy(update={"task_id": HOSTILE})
    told = replace(result, request=request, diagnostics=[HOSTILE], checks=checks, manifest=manifest)
    page = _Page(report_html(told, candles))
    ours = _Page(report_html(result, candles))
    assert [tag for tag, _ in page.tags if tag in {"script", "img"}] == [
        tag for tag, _ in ours.tags if tag in {"script", "img"}
    ]
    assert page.text.count(HOSTILE) >= 10


def test_no_text_ends_an_embedded_block() -> None:
    block = embedded_json("data", {"text": HOSTILE})
    inner = block.removeprefix('<script type="application/json" id="data">').removesuffix("</script>")
    assert not set("<>&\u2028") & set(inner)
    assert json.loads(inner) == {"text": HOSTILE}


def test_without_candles_the_report_says_so_and_keeps_the_rest() -> None:
    result = backtest(_several())
    page = report_html(result, None)
    assert CANDLES_GONE in page
    assert _Page(page).data("candles") == {}
    assert 'class="line benchmark"' not in page  # nothing is drawn that it would explain
    assert "Monthly returns" in page
    assert shown("sharpe", result.metrics["sharpe"]) in page


def test_a_symbol_whose_candles_have_changed_is_left_out_alone() -> None:
    candles = _several()
    page = _Page(report_html(backtest(candles), {"IBM": candles["IBM"]}))
    assert list(page.data("candles")) == ["IBM"]
    assert "buy and hold (" not in page.text


@pytest.mark.slow
def test_several_symbols_have_a_choice_a_table_and_correlations_and_one_has_none() -> None:
    candles = _several()
    several, one = report_html(backtest(candles), candles), _reported({"AAPL": candles["AAPL"]})[1]
    for wanted in ('data-symbol="IBM"', "Symbol by symbol", "Correlation of the symbols"):
        assert wanted in several
        assert wanted not in one


def test_a_result_without_trades_or_of_one_bar_has_a_report() -> None:
    flat = {"AAPL": candles_of(np.full(40, 10.0))}
    assert "There was no trade." in report_html(backtest(flat), flat)
    single = {"AAPL": candles_of([10.0])}
    assert "fewer than" in report_html(backtest(single), single)


@pytest.mark.parametrize(
    ("whole", "held", "wanted"),
    [(0.5, 0.8, "loss"), (0.5, 0.2, "gain"), (-0.1, -0.4, "gain"), (0.5, 0.5, ""), (0.5, None, "gain")],
)
def test_a_return_is_judged_by_what_holding_returned(whole: float, held: float | None, wanted: str) -> None:
    metrics = {"total_return": whole, "cagr": whole / 2, "buy_hold_return": held, "sharpe": 1.0}
    assert tone("total_return", whole, metrics) == wanted
    assert tone("cagr", whole / 2, metrics) == wanted
    assert tone("sharpe", 1.0, metrics) == "gain"


def test_the_deepest_drawdowns_are_listed_and_currency_and_zone_stated_where_known() -> None:
    own = candles_of(walk(150))
    recorded = replace(own, record=SymbolRecord.of("XKRX"))
    result = backtest({"AAPL": own})
    text = _Page(report_html(result, {"AAPL": recorded})).text
    assert "amounts in KRW" in text
    assert "market in Asia/Seoul" in text
    assert f"{result.metrics['max_drawdown']:.2%}" in text.partition("Deepest drawdowns")[2]
    assert "amounts in" not in _Page(report_html(result, {"AAPL": own})).text


@pytest.mark.slow
def test_the_same_result_yields_the_same_report() -> None:
    candles = _several()
    assert report_html(backtest(candles), candles) == report_html(backtest(candles), candles)


def test_only_the_trades_that_matter_most_are_embedded() -> None:
    trades = backtest({"AAPL": candles_of(walk(2_000))}).trades
    kept = trades_data(trades, most=10)
    wanted = sorted(trades["pnl"].abs(), reverse=True)[:10]
    assert sorted(map(abs, kept["pnl"]), reverse=True) == pytest.approx(wanted)
    assert kept["entry_time"] == sorted(kept["entry_time"])
    whole = trades_data(trades)
    assert whole["entry_time"][0] == trades["entry_time"].iloc[0].timestamp() * 1_000


def test_candles_are_packed_as_the_browser_unpacks_them() -> None:
    candles = {"AAPL": candles_of(walk(60_000), timeframe="1h")}
    packed = candles_data(candles, ["AAPL"])["AAPL"]
    counts, ends = (np.frombuffer(base64.b64decode(packed[name]), "<u4") for name in ("x", "ends"))
    highs = np.frombuffer(base64.b64decode(packed["h"]), "<f4")
    assert packed["bars"] == 3  # 60,000 bars in at most 200,000 / 7 candles
    assert len(counts) == len(ends) == len(highs) == 20_000
    assert packed["first_ms"] == 1_577_836_800_000  # 2020-01-01
    assert packed["unit_ms"] == packed["step_ms"] == 3_600_000
    assert counts[:3].tolist() == [0, 3, 6]
    assert ends[[0, 1, -1]].tolist() == [2, 5, 59_999]
    assert highs.max() == np.float32(candles["AAPL"].high.max())


def test_bars_that_a_page_has_room_for_are_packed_one_by_one() -> None:
    candles = {"AAPL": candles_of(walk(5_000))}
    packed = candles_data(candles, ["AAPL"])["AAPL"]
    assert packed["bars"] == 1
    assert len(base64.b64decode(packed["c"])) == 4 * 5_000


@pytest.mark.slow
@pytest.mark.parametrize(("symbols", "bars"), [(1, 100_000), (20, 5_000), (500, 120)])
def test_a_report_stays_small(symbols: int, bars: int) -> None:
    candles = {
        f"S{place}": candles_of(walk(bars, place, 0.001), f"S{place}", "1h") for place in range(symbols)
    }
    result = backtest(candles)
    assert len(report_html(result, candles).encode()) <= 4_000_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ({}, "-"),
        (True, "yes"),
        (0, "0"),
        (0.25, "0.25"),
        (1 / 3, repr(1 / 3)),
        (["AAPL", "IBM"], "AAPL, IBM"),
        ({"a": [1]}, '{"a": [1]}'),
    ],
)
def test_values_of_a_request_are_written_for_people(value: object, text: str) -> None:
    assert plain(value) == text
