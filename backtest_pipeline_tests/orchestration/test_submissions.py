"""What the code server says of a request before there is a run of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.run_config import from_run_config, to_run_config
from backtest_pipeline.orchestration.jobs.submissions import answer
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.strategies.builtin.sma_cross import SmaCross
from backtest_pipeline.strategies.registry import resolve
from backtest_pipeline_tests.results.published import store_candles, wandering


@pytest.fixture(autouse=True)
def data_root(own_data_root: Path) -> Path:
    """A store with two companies' days of 2020, from 1 January to 18 July."""
    store_candles(own_data_root, wandering(), wandering("AAPL", seed=2))
    return own_data_root


def _resolved(job: str = "backtest", **config: Any) -> dict[str, Any]:
    [resolved] = answer({"resolve": [config], "job": job})["resolved"]
    return dict(resolved)


def test_every_default_is_written_out() -> None:
    told = _resolved(strategy={"sma_cross": {"fast": 3}}, symbols=["ACME"])
    asked = BacktestRequest(strategy="sma_cross", params={"fast": 3}, symbols=["ACME"])
    assert told == {"config": to_run_config(resolve(asked).request)}
    assert told["config"]["strategy"] == {"sma_cross": {"fast": 3, "slow": 20}}


def test_an_untouched_form_is_the_request_of_its_defaults() -> None:
    request = from_run_config(_resolved()["config"])
    assert (request.strategy, list(request.symbols), dict(request.params)) == (
        "sma_cross",
        ["AAPL"],
        {"fast": 10, "slow": 20},
    )


def test_what_is_resolved_stays_as_it_is() -> None:
    once = _resolved(strategy={"bollinger_reversion": {}}, symbols=["ACME"], fee_bps=7, start="2020-01-01")
    assert _resolved(**once["config"]) == once


def test_a_form_with_an_empty_benchmark_asks_for_none() -> None:
    assert "benchmark" not in _resolved(benchmark="")["config"]
    assert _resolved(benchmark="ACME")["config"]["benchmark"] == "ACME"


@pytest.mark.parametrize(
    ("config", "field", "says"),
    [
        (
            {"strategy": {"of_mine": {}}},
            "strategy",
            "the server has no 'of_mine'; name its module in BACKTEST",
        ),
        (
            {"strategy": {"sma_cros": {}}},
            "strategy",
            "the server has no 'sma_cros' (did you mean sma_cross?)",
        ),
        ({"strategy": {"sma_cross": {"fast": 0}}}, "", "sma_cross cannot use these parameters"),
        ({"fee_bps": -1.0}, "fee_bps", "greater than or equal to 0, not -1"),
        ({"symbols": ["aapl"]}, "symbols", "'aapl' is not a symbol (did you mean AAPL?)"),
        ({"symbols": ["APPL"]}, "", "no 1d candles of APPL (did you mean AAPL?); it has AAPL, ACME"),
        ({"symbols": ["ACME", "TSLA", "NVDA"]}, "", "no 1d candles of TSLA, NVDA; it has AAPL, ACME"),
        ({"benchmark": "ACMA"}, "", "no 1d candles of ACMA (did you mean ACME?); it has AAPL, ACME"),
        ({"benchmark": "acme"}, "benchmark", "'acme' is not a symbol (did you mean ACME?)"),
        ({"timeframe": "1h"}, "", "no 1h candles of AAPL; it has candles of 1d only"),
        (
            {"start": "2021-01-01"},
            "",
            "candles from 2021-01-01 to the last; the store has 2020-01-01 to 2020-",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_in_our_words(config: dict[str, Any], field: str, says: str) -> None:
    [[found, problem]] = _resolved(**config)["refused"]
    assert found == field
    assert says in problem


@pytest.mark.parametrize(
    "config",
    [
        {"strategy": {"sma_cross": {}, "ema_cross": {}}},
        {"strategy": "sma_cross"},
        {"strategy": {"sma_cross": {"fast": "three"}}},
        {"no_such_field": 1},
    ],
)
def test_what_does_not_fit_the_form_is_left_to_dagster(config: dict[str, Any]) -> None:
    assert _resolved(**config) == {}


def test_an_empty_store_says_how_to_fill_it(data_root: Path) -> None:
    for symbol in ("AAPL", "ACME"):
        (data_root / symbol).rename(data_root / f".{symbol}")
    [[_, problem]] = _resolved()["refused"]
    assert problem.endswith("it is empty; see `backtest candles import --help`")


def test_candles_that_cannot_be_read_are_left_to_the_first_op(data_root: Path) -> None:
    Layout(data_root).candle_file("AAPL", "1d", 2020).write_bytes(b"no parquet")
    assert "config" in _resolved(start="2020-02-01")


SWEEP = {"space": {"params.fast": [3, 5]}}


def test_a_sweep_is_resolved_as_well() -> None:
    config = _resolved("sweep", backtest={"strategy": {"sma_cross": {}}, "symbols": ["ACME"]}, **SWEEP)[
        "config"
    ]
    assert config["backtest"]["strategy"] == {"sma_cross": {"slow": 20}}
    assert config["objective"] == "sharpe"
    assert _resolved("sweep", **config) == {"config": config}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"backtest": {"strategy": {"of_mine": {}}}, **SWEEP}, "the server has no 'of_mine'"),
        ({"backtest": {"strategy": {"sma_crs": {}}}, **SWEEP}, "no 'sma_crs' (did you mean sma_cross?)"),
        ({"space": {"strategy": ["ema_cross", "of_mine"]}}, "the server has no 'of_mine'"),
        ({"space": {"params.fats": [3]}}, "there is no such parameter (did you mean fast?)"),
        ({"space": {"params.fee_bsp": [3]}}, "there is no such parameter (did you mean fee_bps?)"),
        ({"backtest": {"benchmark": "ACMA"}, **SWEEP}, "no 1d candles of ACMA (did you mean ACME?)"),
        ({"space": {"symbols": [["AAPL"], ["APPL"]]}}, "no 1d candles of APPL (did you mean AAPL?)"),
        ({"space": {"timeframe": ["1d", "1h"]}}, "no 1h candles of AAPL"),
        ({"space": {"start": ["2021-01-01", "2021-02-01"]}}, "candles from 2021-01-01"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_refused(config: dict[str, Any], says: str) -> None:
    [[_, problem]] = _resolved("sweep", **config)["refused"]
    assert says in problem


def test_a_question_that_is_not_known_has_no_answer() -> None:
    assert answer({"advise": {}}) == {}


def test_a_strategy_that_cannot_say_how_many_bars_warm_it_up_is_named_by_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(SmaCross, "warmup_bars", fail)
    assert _resolved(strategy={"sma_cross": {}}, symbols=["ACME"], start="2020-02-01")["config"]["start"]


def test_a_walk_forward_is_written_out_and_refused_like_the_others() -> None:
    sweep = {"backtest": {"symbols": ["ACME"]}, "space": {"params.fast": [3, 5]}}
    told = _resolved("walk_forward", sweep=sweep, train="60", test="20")["config"]
    assert (told["train"], told["test"], told["sweep"]["backtest"]["strategy"]) == (
        "60",
        "20",
        {"sma_cross": {"slow": 20}},
    )
    assert _resolved("walk_forward", **told) == {"config": told}
    for changes, field in (
        ({"train": "2y"}, "test"),
        ({"purge_bars": -1}, "purge_bars"),
        ({"sweep": {**sweep, "space": {"start": [None]}}}, "sweep.space.start"),
    ):
        refused = _resolved("walk_forward", **{"sweep": sweep, "train": "60", "test": "20", **changes})[
            "refused"
        ]
        assert field in [name for name, _ in refused], refused


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"detail_timeframe": "1h"}, "the store has no 1h candles of ACME"),
        ({"funding": True}, "the store has no funding rates of ACME"),
        ({"account": "split", "max_positions": 2}, "it needs account shared"),
    ],
)
def test_what_is_to_be_paid_or_looked_into_is_looked_for_at_once(fields: dict[str, Any], says: str) -> None:
    for job, config in (
        ("backtest", {"symbols": ["ACME"], **fields}),
        ("sweep", {"backtest": {"symbols": ["ACME"], **fields}}),
    ):
        [(_, told)] = _resolved(job, **config)["refused"]
        assert says in told
