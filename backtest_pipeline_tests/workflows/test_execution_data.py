"""Finer candles and funding rates: what is asked for is loaded, recorded, and refused where it lacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline import (
    BacktestRequest,
    SweepRequest,
    WalkForwardRequest,
    run_backtest,
    run_sweep,
)
from backtest_pipeline.candles.funding_file import write_funding
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import CandlesInvalid, DetailMissing, FundingMissing, RequestInvalid
from backtest_pipeline.model.funding_rates import FundingRates
from backtest_pipeline.model.manifest import FundingFingerprint
from backtest_pipeline.model.task_request import TaskRequest
from backtest_pipeline.workflows.coverage_remarks import about_detail, about_funding
from backtest_pipeline.workflows.execution_data import (
    ExecutionData,
    load_execution_data,
    require_execution_data,
    times_of,
)
from backtest_pipeline.workflows.execution_data_of_then import execution_data_of_then
from backtest_pipeline_tests.results.finer import finer_candles, rates_of
from backtest_pipeline_tests.results.published import manifest_of, store_candles, wandering

DAYS = 20


BARS = {symbol: wandering(symbol, DAYS, seed=place) for place, symbol in enumerate(("A", "B"))}


@pytest.fixture
def store(tmp_path: Path) -> CandleStore:
    """Daily candles of two symbols, finer ones of both, and rates of both."""
    store_candles(tmp_path, *BARS.values(), *map(finer_candles, BARS.values()))
    store = CandleStore(tmp_path)
    for symbol, own in BARS.items():
        rates = rates_of(own)
        write_funding(store.layout, symbol, rates.timestamp, rates.rate)
    return store


def _asked(**fields: Any) -> BacktestRequest:
    return BacktestRequest(**{"strategy": "sma_cross", "symbols": ["A", "B"], **fields})


def test_nothing_is_loaded_that_is_not_asked_for(store: CandleStore) -> None:
    data = load_execution_data(store, _asked(), times_of(BARS.values()))
    assert (data.detail, data.funding) == ({}, {})
    assert data.of(_asked()) == {"detail": None, "funding": None}


def test_it_reaches_from_the_first_traded_open_to_the_end_of_the_last_bar(store: CandleStore) -> None:
    """Of days 3 to 5, six candles of four hours and three rates a day."""
    request = _asked(detail_timeframe="4h", funding=True)
    traded = {symbol: own.slice(2, 5) for symbol, own in BARS.items()}
    data = load_execution_data(store, request, times_of(traded.values()))
    for symbol in BARS:
        own, rates = data.detail["4h"][symbol], data.funding[symbol]
        assert (own.timestamp[0], len(own)) == (traded[symbol].timestamp[0], 18)
        assert own.timestamp[-1] == traded[symbol].timestamp[-1] + np.timedelta64(20, "h")
        assert (rates.timestamp[0], len(rates)) == (traded[symbol].timestamp[0], 9)
    assert data.of(request) == {"detail": data.detail["4h"], "funding": data.funding}


SPACE = {"detail_timeframe": [None, "4h"], "funding": [False, True]}


@pytest.mark.parametrize(
    "request_of",
    [
        lambda one: SweepRequest(backtest=one, space=SPACE),
        lambda one: WalkForwardRequest(sweep=SweepRequest(backtest=one, space=SPACE)),
    ],
)
def test_a_search_gets_what_any_trial_asks_for(request_of: Any, store: CandleStore) -> None:
    request: TaskRequest = request_of(_asked())
    require_execution_data(store, request)
    data = load_execution_data(store, request, times_of(BARS.values()))
    assert [*data.detail] == ["4h"]
    assert [*data.funding] == ["A", "B"]
    assert data.of(_asked(detail_timeframe="4h"))["funding"] is None


@pytest.mark.parametrize(
    "refuse",
    [
        require_execution_data,
        lambda store, request: load_execution_data(store, request, times_of(BARS.values())),
    ],
)
def test_what_the_store_lacks_is_refused_with_the_command_that_brings_it(refuse: Any, tmp_path: Path) -> None:
    store_candles(tmp_path, *BARS.values(), finer_candles(BARS["A"]))
    store = CandleStore(tmp_path)
    with pytest.raises(
        DetailMissing,
        match=r"detail_timeframe: the store has no 4h candles of B .*candles download .*--timeframe 4h",
    ):
        refuse(store, _asked(detail_timeframe="4h"))
    late = rates_of(BARS["A"])
    write_funding(store.layout, "A", late.timestamp, late.rate)
    elsewhere = BARS["B"].timestamp[-1:] + np.timedelta64(900, "D")
    write_funding(store.layout, "B", elsewhere, np.array([0.001]))
    request = _asked(funding=True, end=BARS["B"].timestamp[-1].item().date())
    with pytest.raises(
        FundingMissing, match=r"funding: the store has no funding rates of B .*candles download .*--funding"
    ):
        refuse(store, request)


def test_a_manifest_records_both_and_a_second_run_finds_them(store: CandleStore) -> None:
    data = load_execution_data(store, _asked(detail_timeframe="4h", funding=True), times_of(BARS.values()))
    manifest = manifest_of(run_backtest(BARS, _asked()), [*BARS.values()])
    recorded = manifest.model_copy(
        update={"detail_candles": data.detail_fingerprints(), "funding_rates": data.funding_fingerprints()}
    )
    assert [(one.symbol, one.timeframe, one.rows) for one in recorded.detail_candles] == [
        ("A", "4h", 6 * DAYS),
        ("B", "4h", 6 * DAYS),
    ]
    assert [one.rates for one in recorded.funding_rates] == [3 * DAYS, 3 * DAYS]
    found, changed = execution_data_of_then(recorded, store)
    assert changed == []
    assert found.detail_fingerprints() == recorded.detail_candles
    assert found.funding_fingerprints() == recorded.funding_rates
    other = rates_of(BARS["B"], 0.0002)
    write_funding(store.layout, "B", other.timestamp, other.rate)
    store_candles(store.layout.data_root, replace(finer_candles(BARS["A"]), volume=np.full(6 * DAYS, 2.0)))
    _, changed = execution_data_of_then(recorded, store)
    assert [one.split(":")[0] for one in changed] == ["4h", "B"]


def test_a_manifest_without_either_does_not_speak_of_them() -> None:
    manifest = manifest_of(run_backtest(BARS, _asked()), [*BARS.values()])
    assert not {"detail_candles", "funding_rates"} & manifest.model_dump(mode="json").keys()
    assert type(manifest).model_validate_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"detail_timeframe": "4h"}, r"no 4h candles were given; give them, as detail=CandleStore"),
        ({"funding": True}, r"no rates were given for .*; give them, as funding=CandleStore"),
    ],
)
def test_python_is_told_what_to_give(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestInvalid, match=said):
        run_backtest(BARS, _asked(**fields))
    space = {"params.fast": [3, 5], **{name: [value] for name, value in fields.items()}}
    sweep = SweepRequest(backtest=_asked(), space=space)
    with pytest.raises(RequestInvalid, match=said):
        run_sweep(BARS, sweep)


def test_rates_between_two_moments_include_the_first_and_not_the_last() -> None:
    moments = np.datetime64("2024-01-01", "us") + np.arange(4) * np.timedelta64(8, "h")
    rates = FundingRates("A", moments, np.array([0.1, 0.2, 0.3, 0.4]))
    assert rates.between(moments[1], moments[3]).rate.tolist() == [0.2, 0.3]
    seen = FundingFingerprint.of(rates)
    assert (seen.rates, seen.first, seen.last) == (
        4,
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=24),
    )
    assert seen.sha256 != FundingFingerprint.of(replace(rates, rate=rates.rate + 1e-9)).sha256


def test_the_store_reads_all_rates_of_those_that_have_some(store: CandleStore) -> None:
    store_candles(store.layout.data_root, wandering("C"))
    assert {symbol: len(own) for symbol, own in store.funding(["A", "C"]).items()} == {"A": 3 * (DAYS + 1)}


def test_what_covers_a_part_is_remarked() -> None:
    bars = BARS["A"]
    first_five = finer_candles(bars, days=slice(5))
    [said] = about_detail([bars], {"A": first_five}, "4h")
    assert said == (
        "A: no 4h candles inside 15 bars (of 20 in all); what came first in those is taken to be the worse."
    )
    assert list(about_detail([bars], {"A": finer_candles(bars)}, "4h")) == []
    rates = rates_of(bars)
    after_all = bars.timestamp[-1] + np.timedelta64(1, "us")
    assert list(about_funding([bars], {"A": rates.between(bars.timestamp[0], after_all)})) == []
    part = rates.between(bars.timestamp[5], bars.timestamp[10])
    assert list(about_funding([bars], {"A": part})) == [
        "A: the funding rates begin at 2020-01-06 00:00; before that none is paid.",
        "A: the funding rates end at 2020-01-10 16:00; after that none is paid.",
    ]


def test_finer_candles_of_other_prices_are_remarked() -> None:
    bars = BARS["A"]
    finer = finer_candles(bars)
    # Before a split of two for one: the first ten days, of six candles each, at twice the price.
    doubled = {
        name: np.where(np.arange(len(finer)) < 10 * 6, 2, 1) * getattr(finer, name)
        for name in ("open", "high", "low", "close")
    }
    unadjusted = replace(finer, **doubled)
    assert list(about_detail([bars], {"A": unadjusted}, "4h")) == [
        (
            "A: the 4h candles leave the range of 10 bars (of 20 in all) by more than 1 %; "
            "take both from one source, adjusted alike."
        )
    ]
    # Each bar by itself, one after the other.
    far = 0
    for opened, high, low in zip(bars.timestamp, bars.high, bars.low, strict=True):
        inside = (unadjusted.timestamp >= opened) & (unadjusted.timestamp < opened + np.timedelta64(1, "D"))
        far += bool(
            (unadjusted.high[inside] > 1.01 * high).any() or (unadjusted.low[inside] < 0.99 * low).any()
        )
    assert far == 10
    asked = _asked(detail_timeframe="4h", stop_loss_frac=0.05)
    assert any(
        "leave the range" in said
        for said in run_backtest(
            BARS, asked, detail={"A": unadjusted, "B": finer_candles(BARS["B"])}
        ).diagnostics
    )


MOMENTS = np.datetime64("2024-01-01", "us") + np.arange(3) * np.timedelta64(8, "h")


@pytest.mark.parametrize(
    ("timestamp", "rate", "says"),
    [
        (MOMENTS, np.array([0.1, np.nan, 0.1]), "a rate is no finite number"),
        (MOMENTS, np.array([0.1, np.inf, 0.1]), "a rate is no finite number"),
        (MOMENTS[::-1], np.full(3, 0.1), "the moments should increase"),
        (MOMENTS[[0, 0, 1]], np.full(3, 0.1), "the moments should increase"),
        (MOMENTS, np.full(2, 0.1), "there are 3 moments and 2 rates"),
        (MOMENTS.astype(np.int64), np.full(3, 0.1), "timestamp should be an array .* datetime64"),
        (MOMENTS, [0.1, 0.1, 0.1], "rate should be an array of shape .* float64"),
        (MOMENTS, np.full((3, 1), 0.1), "rate should be an array of shape"),
    ],
)
def test_rates_that_would_be_paid_wrongly_are_refused(timestamp: Any, rate: Any, says: str) -> None:
    with pytest.raises(CandlesInvalid, match=f"A: {says}"):
        FundingRates("A", timestamp, rate)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            pd.DataFrame({"timestamp": MOMENTS, "rate": 0.1}),
            "give FundingRates, or a mapping .* not DataFrame",
        ),
        ({"A": pd.DataFrame()}, "A: give FundingRates, not DataFrame"),
        ({"A": FundingRates("B", MOMENTS, np.full(3, 0.1))}, "those given for A are B's"),
        ({"C": FundingRates("C", MOMENTS, np.full(3, 0.1))}, "no rates were given for A"),
        (FundingRates("C", MOMENTS, np.full(3, 0.1)), "no rates were given for A"),
        ({"A": FundingRates("A", MOMENTS[:0], np.empty(0))}, "no rates were given for A"),
    ],
)
def test_rates_of_others_or_of_nobody_are_not_taken(given: Any, says: str) -> None:
    with pytest.raises(RequestInvalid, match=says):
        run_backtest(BARS, _asked(funding=True), funding=given)


def test_nothing_given_is_nothing() -> None:
    assert ExecutionData().of(_asked(detail_timeframe="4h"))["detail"] == {}
