"""A pandas frame as people have it becomes candles, or is refused with what to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    IntRange,
    SweepRequest,
    run_backtest,
    run_sweep,
    run_walk_forward,
)
from backtest_pipeline.candles.frame_candles import candles_of_frame
from backtest_pipeline.model.errors import CandlesInvalid, RequestInvalid
from backtest_pipeline_tests.results.published import wandering

PLAIN = wandering("BTCUSD", 60)
REQUEST = BacktestRequest(strategy="sma_cross", params={"fast": 3, "slow": 8}, symbols=["BTCUSD"])


def _frame() -> pd.DataFrame:
    return PLAIN.to_frame()


def _yahoo() -> pd.DataFrame:
    """As yfinance makes it: two levels of columns, capitals, the day as the index."""
    frame = _frame().rename(columns=str.capitalize).set_index("Timestamp").rename_axis("Date")
    frame.columns = pd.MultiIndex.from_product([frame.columns, ["BTCUSD"]], names=["Price", "Ticker"])
    other = frame.rename(columns={"BTCUSD": "ETHUSD"}) * 2
    return pd.concat([frame, other], axis="columns", sort=False)


def _numbers(unit: str) -> pd.DataFrame:
    frame = _frame()
    return frame.assign(timestamp=frame["timestamp"].dt.as_unit(unit).astype(np.int64))


FRAMES = {
    "its own": _frame(),
    "an index of moments": _frame().set_index("timestamp"),
    "an index without a name": _frame().set_index("timestamp").rename_axis(None),
    "capitals": _frame().rename(columns=str.upper),
    "ccxt": _numbers("ms"),
    "seconds": _numbers("s"),
    "nanoseconds": _numbers("ns").rename(columns={"timestamp": "Open time"}),
    "text": _frame().assign(timestamp=_frame()["timestamp"].dt.strftime("%Y-%m-%d")),
    "an index of text": _frame().astype({"timestamp": str}).set_index("timestamp").rename_axis("Date"),
    "newest first": _frame().iloc[::-1],
    "no zone": _frame().assign(timestamp=_frame()["timestamp"].dt.tz_localize(None)),
    "another zone": _frame().assign(timestamp=_frame()["timestamp"].dt.tz_convert("Asia/Seoul")),
    "short names": _frame().set_axis(["Date", "O", "H", "L", "C", "V"], axis="columns"),
    "further columns": _frame().assign(**{"Adj Close": 1.0, "dividends": 0.0}),
    "yfinance": _yahoo(),
}  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_each_usual_frame_yields_the_same_candles_and_the_same_backtest(frame: pd.DataFrame) -> None:
    assert candles_of_frame(frame, "BTCUSD", "1d").fingerprint() == PLAIN.fingerprint()
    wanted = run_backtest({"BTCUSD": PLAIN}, REQUEST).metrics
    assert run_backtest({"BTCUSD": frame}, REQUEST).metrics == wanted
    assert run_backtest(frame, REQUEST).metrics == wanted


def test_times_without_a_zone_are_of_the_zone_that_the_call_says() -> None:
    naive = _frame().assign(timestamp=_frame()["timestamp"].dt.tz_localize(None))
    shifted = candles_of_frame(naive, "BTCUSD", "1d", "Asia/Seoul").timestamp
    assert (PLAIN.timestamp - shifted == np.timedelta64(9, "h")).all()


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (_frame().drop(columns="volume"), "no column for volume, but timestamp, open"),
        (_frame().drop(columns="timestamp"), "it has no times; name their column `timestamp`"),
        (_frame().assign(timestamp="03/04/2020"), "cannot be read .*pandas.to_datetime"),
        (_frame().assign(close="dear"), "close holds what is no number"),
        (_frame().assign(timestamp=None), "there is no time .*, row 0"),
        (_frame().assign(high=0.5), "high is below"),
        (
            _frame().assign(ticker=["BTCUSD"] * 30 + ["ETHUSD"] * 30),
            r"'ticker' has 2 values \(BTCUSD, ETHUSD\); take .* frame\[frame\['ticker'\] == 'BTCUSD'\]",
        ),
        (
            _frame().assign(ticker="BTCUSD").set_index(["timestamp", "ticker"]),
            r"several levels \(timestamp, ticker\); take the rows of one symbol, as frame.xs\('BTCUSD'",
        ),
        (
            _frame().rename(columns={"timestamp": "Date"}).assign(Time="09:00"),
            r"in two columns; join them, as .*frame\['Date'\].*frame\['Time'\]",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_cure(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(CandlesInvalid, match=says):
        run_backtest(frame, REQUEST)


def test_bars_of_another_length_are_refused_and_not_annualised_as_days() -> None:
    hours = _frame().assign(timestamp=pd.date_range("2024-01-01", periods=60, freq="h", tz="UTC"))
    with pytest.raises(CandlesInvalid, match=r"these are not 1d candles.*timeframe='1h'"):
        run_backtest(hours, REQUEST)
    assert run_backtest(hours, REQUEST.model_copy(update={"timeframe": "1h"})).metrics


def test_one_frame_alone_is_refused_for_two_symbols_and_so_is_what_is_no_frame() -> None:
    two = REQUEST.model_copy(update={"symbols": ["BTCUSD", "ETHUSD"]})
    with pytest.raises(RequestInvalid, match="for BTCUSD, ETHUSD"):
        run_backtest(_frame(), two)
    with pytest.raises(RequestInvalid, match="not list"):
        run_backtest({"BTCUSD": [1, 2]}, REQUEST)  # type: ignore[dict-item]  # what is tested


@pytest.mark.parametrize(
    "given",
    [_frame(), {"BTCUSD": _frame()}, {"1d": {"BTCUSD": _frame()}}],
    ids=["alone", "symbol", "timeframe"],
)
def test_a_sweep_takes_frames_as_a_backtest_does(given: object) -> None:
    request = SweepRequest(backtest=REQUEST, space={"params.fast": IntRange(2, 4)})
    wanted = run_sweep({"BTCUSD": PLAIN}, request).trials
    pd.testing.assert_frame_equal(run_sweep(given, request).trials, wanted)  # type: ignore[arg-type]  # of each kind


def test_another_symbols_candles_are_refused_wherever_candles_are_given() -> None:
    with pytest.raises(RequestInvalid, match="those given for BTCUSD are ETHUSD's; give each symbol its own"):
        run_backtest({"BTCUSD": wandering("ETHUSD", 60)}, REQUEST)
    sweep = SweepRequest(backtest=REQUEST, space={"params.fast": IntRange(2, 4)})
    with pytest.raises(RequestInvalid, match="are ETHUSD's"):
        run_sweep({"BTCUSD": wandering("ETHUSD", 60)}, sweep)


@pytest.mark.parametrize("wrong", [None, {"strategy": "sma_cross"}, REQUEST])
def test_a_request_of_another_kind_is_refused(wrong: object) -> None:
    if wrong is not REQUEST:
        with pytest.raises(RequestInvalid, match=r"give a BacktestRequest, not (NoneType|dict)"):
            run_backtest(_frame(), wrong)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(RequestInvalid, match="give a SweepRequest, not"):
        run_sweep(_frame(), wrong)  # type: ignore[arg-type]  # as above
    with pytest.raises(RequestInvalid, match="give a WalkForwardRequest, not"):
        run_walk_forward(_frame(), wrong)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_candles_of_a_frame_read_numbers_as_times_by_their_size(unit: str, kind: type) -> None:
    frame = _numbers(unit).astype({"timestamp": kind})
    candles = Candles.from_frame(frame, symbol="BTCUSD", timeframe="1d")
    assert candles.fingerprint() == PLAIN.fingerprint()


@pytest.mark.parametrize(
    "read", [candles_of_frame, lambda *of: Candles.from_frame(of[0], symbol=of[1], timeframe=of[2])]
)
def test_text_with_the_two_offsets_of_a_market_whose_clocks_change_is_read(read: object) -> None:
    # Clocks were put forward on Sunday, 10 March 2024: midnight of New York was 05:00, then 04:00 in UTC.
    times = ["2024-03-08 00:00:00-05:00", "2024-03-11 00:00:00-04:00", "2024-03-12 00:00:00-04:00"]
    frame = pd.DataFrame(
        {"timestamp": times, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}
    )
    opens = read(frame, "ACME", "1d").timestamp  # type: ignore[operator]  # of both kinds
    assert opens.astype("datetime64[h]").astype(str).tolist() == [
        "2024-03-08T05",
        "2024-03-11T04",
        "2024-03-12T04",
    ]


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ([1, 2], "give a pandas frame .* not list"),
        (_frame().assign(ticker="BTCUSD").set_index(["ticker", "timestamp"]), "several levels"),
        (None, "not NoneType"),
        (_frame().rename(columns=str.capitalize), r"missing columns: timestamp.*it has \(Timestamp, Open"),
        (_frame().assign(timestamp="03/04/2020"), "cannot be read .*pandas.to_datetime"),
        (_frame().assign(timestamp=pd.period_range("2024-01-01", periods=60)), "pandas.to_datetime"),
        (_frame().assign(timestamp=range(20240101, 20240161)), "20240101"),
        (
            _frame().assign(timestamp=pd.Series([None] * 60, dtype="datetime64[us]")),
            "there is no time .*row 0",
        ),
        (_frame().assign(close="1,234"), "close holds what is no number: .*pandas.to_numeric"),
        (pd.concat([_frame(), _frame()[["open"]]], axis="columns"), "it has open twice"),
        (pd.concat([_frame(), _frame()[["timestamp"]]], axis="columns"), "it has timestamp twice"),
        (_frame().assign(timestamp=pd.date_range("2024-01-01", periods=60, freq="h")), "not 1d candles"),
    ],
)
def test_candles_of_what_is_no_such_frame_are_refused_with_the_cure(frame: object, says: str) -> None:
    with pytest.raises(CandlesInvalid, match=says):
        Candles.from_frame(frame, symbol="BTCUSD", timeframe="1d")  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    ("symbol", "timeframe", "says"),
    [
        ("btc usd", "1d", "symbol: 'btc usd' is not a symbol"),
        ("삼성전자", "1d", "is not a symbol"),
        (5930, "1d", "symbol: 5930 is not a symbol; write it as text"),
        ("BTCUSD", "1D", "timeframe: '1D' is no timeframe; write one of 1m, 5m"),
        ("BTCUSD", "3h", "'3h' is no timeframe"),
    ],
)
def test_candles_of_no_symbol_or_timeframe_are_refused(symbol: str, timeframe: str, says: str) -> None:
    with pytest.raises(RequestInvalid, match=says):
        Candles.from_frame(_frame(), symbol=symbol, timeframe=timeframe)  # type: ignore[arg-type]  # what is tested
