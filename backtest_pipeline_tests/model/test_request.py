"""The one gate for input."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.run_config import from_run_config, to_run_config


def _request(**changes: Any) -> BacktestRequest:
    return BacktestRequest(**{"strategy": "sma_cross", "symbols": ["AAPL"], **changes})


def test_a_request_needs_only_a_strategy_and_symbols() -> None:
    request = _request()
    assert request.timeframe == "1d"
    assert request.initial_cash == 10_000
    assert request.fee_bps == 10
    assert request.fill == "next_open"
    assert request.direction == "long"
    assert request.max_retries == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"symbols": []}, "symbols: .*at least 1 item"),
        ({"symbols": "AAPL"}, r"symbols: write a list, as \['AAPL'\], not 'AAPL'"),
        ({"symbols": {"AAPL", "IBM"}}, "symbols: write a list: a set has no order"),
        ({"symbols": ["../etc"]}, r"symbols: '\.\./etc' is not a symbol; a symbol has 1 to 32 of A-Z"),
        ({"symbols": ["A..B"]}, r"'A\.\.B' is not a symbol"),
        ({"symbols": ["aapl"]}, "'aapl' is not a symbol"),
        ({"symbols": ["A" * 33]}, "is not a symbol"),
        ({"symbols": ["AAPL", "AAPL"]}, "AAPL named more than once"),
        ({"symbols": [f"S{i}" for i in range(501)]}, "symbols: .*at most 500 items"),
        ({"timeframe": "2d"}, "timeframe: .*'1d'.*not '2d'"),
        ({"start": "2012-01-02", "end": "2012-01-01"}, r"end \(2012-01-01\) is before start \(2012-01-02\)"),
        ({"start": 20240101}, "start: 20240101 is no date or datetime; write 2024-05-01"),
        ({"end": 1704067200.0}, "end: 1704067200.0 is no date or datetime; write 2024-05-01"),
        ({"end": np.int64(20240131)}, "end: .*20240131.* is no date or datetime"),
        ({"start": True}, "start should be no truth value, not True"),
        ({"end": pd.NaT}, "end: NaT is no date or datetime"),
        ({"start": "2024-01-03T00:00+09:00", "end": "2024-01-01T08:00"}, "is before start"),
        ({"initial_cash": True}, "initial_cash should be no truth value, not True"),
        ({"warmup_bars": False}, "warmup_bars should be no truth value, not False"),
        ({"leverage": True}, "leverage should be no truth value, not True"),
        ({"start": "yesterday"}, "'yesterday' is no ISO date or datetime; write 2024-05-01"),
        ({"initial_cash": 0}, "initial_cash: .*greater than 0, not 0"),
        ({"initial_cash": float("inf")}, "initial_cash: .*finite number"),
        ({"fee_bps": -1}, "fee_bps: .*greater than or equal to 0, not -1"),
        ({"fee_bps": float("nan")}, "fee_bps: "),
        ({"position_frac": 1.5}, "position_frac should be at most 1, not 1.5"),
        ({"stop_loss_frac": 1}, "stop_loss_frac: .*less than 1, not 1"),
        ({"max_retries": 11}, "max_retries: .*less than or equal to 10, not 11"),
        ({"max_hold_bars": 0}, "max_hold_bars: "),
        ({"fees": 3}, "fees: there is no such field"),
        ({"slipage_bps": 3}, r"slipage_bps: there is no such field \(did you mean slippage_bps\?\)"),
        ({"timeframe": "1D"}, r"not .1D. \(did you mean 1d\?\)"),
        ({"direction": "shrt"}, r"not .shrt. \(did you mean short\?\)"),
        ({"direction": "up"}, "direction: .*'long', 'short' or 'both', not 'up'"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_its_reason(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestInvalid, match=says):
        _request(**changes)


LEVELS = ("stop_loss_frac", "take_profit_frac", "trailing_stop_frac")


@pytest.mark.parametrize("frac", [1, 1.0000001, 1.5, 20])
@pytest.mark.parametrize(
    ("direction", "reachable"),
    [
        ("long", {"take_profit_frac"}),
        ("short", {"stop_loss_frac", "trailing_stop_frac"}),
        ("both", set()),
    ],
)
def test_a_level_of_100_percent_and_more_is_refused_where_only_a_price_of_zero_would_reach_it(
    direction: str, reachable: set[str], frac: float
) -> None:
    for field in LEVELS:
        assert getattr(_request(direction=direction, **{field: 0.999}), field) == 0.999
        if field in reachable:
            assert getattr(_request(direction=direction, **{field: frac}), field) == frac
        else:
            says = (
                rf"{field}: should be less than 1, not {frac}, with direction {direction}: a (long|short) pos"
            )
            with pytest.raises(RequestInvalid, match=says):
                _request(direction=direction, **{field: frac})


@pytest.mark.parametrize("field", LEVELS)
@pytest.mark.parametrize("frac", [0, -0.1, float("inf"), float("nan"), "much"])
@pytest.mark.parametrize("direction", ["long", "short", "both"])
def test_a_level_is_a_finite_distance_above_zero(field: str, frac: object, direction: str) -> None:
    with pytest.raises(RequestInvalid, match=f"{field}: "):
        _request(direction=direction, **{field: frac})


def test_levels_of_a_direction_that_is_none_are_judged_by_their_sign_alone() -> None:
    with pytest.raises(RequestInvalid) as caught:
        _request(direction="up", stop_loss_frac=2, take_profit_frac=-1)
    assert [field for field, _ in caught.value.problems] == ["direction", "take_profit_frac"]


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(RequestInvalid) as caught:
        _request(fee_bps=-1, timeframe="2d")
    assert [field for field, _ in caught.value.problems] == ["timeframe", "fee_bps"]


def test_an_end_on_the_day_of_the_start_is_fine_because_a_date_includes_the_whole_day() -> None:
    request = _request(start=datetime(2024, 5, 1, 15, 30), end=date(2024, 5, 1))  # noqa: DTZ001  no zone on purpose
    assert request.end == date(2024, 5, 1)


@pytest.mark.parametrize("written", ["20240131", "2024-W05-3", "2024W053"])
def test_a_day_in_any_spelling_of_iso_is_that_whole_day(written: str) -> None:
    assert _request(start=written, end=written).to_dict()["end"] == "2024-01-31"


def test_an_end_without_a_zone_may_lie_after_a_start_with_one_whatever_its_clock_says() -> None:
    # In UTC, from 15:00 to 16:00 on the last day of 2023.
    request = _request(start="2024-01-01T00:00+09:00", end="2023-12-31T16:00")
    assert request.start > datetime(2023, 12, 31, tzinfo=UTC)  # type: ignore[operator]  # it is a datetime


def test_the_digest_is_the_sha256_of_sorted_compact_json_with_every_default() -> None:
    request = _request(params={"slow": 20, "fast": 10}, benchmark="SPY", start="2020-01-01")
    fields = request.to_dict()
    left_out = set(BacktestRequest.model_fields) - set(fields)
    assert {"account", "leverage", "take_profit_steps"} <= left_out, (
        "what was added later, where it is not used"
    )
    assert all(getattr(request, name) == BacktestRequest.model_fields[name].default for name in left_out)
    text = json.dumps(fields, sort_keys=True).replace(", ", ",").replace(": ", ":")
    assert request.digest() == hashlib.sha256(text.encode()).hexdigest()


def test_a_request_without_what_was_added_later_has_the_digest_that_it_had_before() -> None:
    request = BacktestRequest(strategy="sma_cross", params={"fast": 10, "slow": 20}, symbols=["AAPL"])
    written = (
        '{"calendar":"auto","direction":"long","end":null,"fee_bps":10.0,"fee_fixed":0.0,"fill":"next_open",'
        '"initial_cash":10000.0,"labels":{},"max_hold_bars":null,"max_retries":2,"params":{"fast":10,"slow":20},'
        '"pinned":false,"position_frac":1.0,"priority":0,"quantity_step":0.0,"seed":0,"slippage_bps":0.0,'
        '"start":null,"stop_loss_frac":null,"strategy":"sma_cross","symbols":["AAPL"],"take_profit_frac":null,'
        '"timeframe":"1d","timeout_s":3600,"trailing_stop_frac":null}'
    )
    assert request.canonical_json() == written
    assert request.digest() != request.model_copy(update={"benchmark": "SPY"}).digest()


@pytest.mark.parametrize("wrong", ["spy", "", "../SPY", "A" * 40])
def test_a_benchmark_is_a_symbol(wrong: str) -> None:
    with pytest.raises(RequestInvalid, match="benchmark: "):
        _request(benchmark=wrong)


def test_candles_are_read_of_the_symbols_and_once_of_the_benchmark() -> None:
    assert _request(symbols=["A", "B"], benchmark="SPY").symbols_read == ("A", "B", "SPY")
    assert _request(symbols=["A", "B"], benchmark="A").symbols_read == ("A", "B")
    assert _request(symbols=["A", "B"]).symbols_read == ("A", "B")


def test_the_order_of_parameters_does_not_change_the_digest_but_their_values_do() -> None:
    one = _request(params={"fast": 10, "slow": 20})
    assert one.digest() == _request(params={"slow": 20, "fast": 10}).digest()
    assert one.digest() != _request(params={"fast": 11, "slow": 20}).digest()


def test_numpy_numbers_from_a_parameter_sweep_are_the_same_request() -> None:
    assert _request(params={"fast": np.int64(10)}).digest() == _request(params={"fast": 10}).digest()


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        _request().fee_bps = 0  # type: ignore[misc]  # that is the point


def test_a_request_survives_the_way_through_a_run_config() -> None:
    request = _request(
        params={"fast": 10},
        start="2005-01-01",
        end="2012-12-31T10:00:00",
        labels={"desk": "a"},
        stop_loss_frac=0.1,
    )
    config = to_run_config(request)
    assert config["strategy"] == {"sma_cross": {"fast": 10}}
    assert from_run_config(json.loads(json.dumps(config))) == request


@pytest.mark.parametrize("strategy", [{}, {"a": {}, "b": {}}, "sma_cross", None])
def test_a_run_config_selects_exactly_one_strategy(strategy: object) -> None:
    with pytest.raises(RequestInvalid, match="select exactly one"):
        from_run_config({"strategy": strategy, "symbols": ["AAPL"]})


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("auto", "auto"), ("AUTO", "auto"), ("24/7", "24/7"), ("xkrx", "XKRX"), ("XNAS", "XNAS")],
)
def test_a_calendar_is_auto_or_one_that_there_is(asked: str, kept: str) -> None:
    assert BacktestRequest(strategy="s", symbols=["A"], calendar=asked).calendar == kept


@pytest.mark.parametrize(
    ("asked", "near"), [("XNYC", "XNYS"), ("24/6", "24/7"), ("KRX", "XKRX"), ("", "MIC")]
)
def test_an_unknown_calendar_is_refused_with_names_like_it(asked: str, near: str) -> None:
    with pytest.raises(RequestInvalid, match=f"calendar: there is no calendar .*{near}"):
        BacktestRequest(strategy="s", symbols=["A"], calendar=asked)
