"""Frames have the promised columns and types, with rows and without."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from backtest_pipeline.model.result import EQUITY_COLUMNS, SIGNAL_COLUMNS, TRADE_COLUMNS
from backtest_pipeline_tests.engine.scripted import candles_of, flat, play, signals_at

TIME, TEXT, NUMBER = "datetime64[us, UTC]", "str", "float64"
TYPES = {
    "symbol": TEXT,
    "side": TEXT,
    "exit_reason": TEXT,
    "complete": "bool",
    "bars_held": "int64",
    **dict.fromkeys(("timestamp", "exit_timestamp", "entry_time", "exit_time"), TIME),
}


@pytest.mark.parametrize("entries", [[], [0]])
def test_columns_and_types(entries: list[int]) -> None:
    result = play(flat(100, 110, 120), signals_at(3, entry=entries))
    for frame, columns in (
        (result.signals, SIGNAL_COLUMNS),
        (result.trades, TRADE_COLUMNS),
        (result.equity, EQUITY_COLUMNS),
    ):
        assert tuple(frame.columns) == columns
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
            name: TYPES.get(name, NUMBER) for name in columns
        }
    assert len(result.trades) == len(entries)
    assert len(result.equity) == 3


def test_frames_survive_arrow() -> None:
    result = play(flat(100, 110, 120), signals_at(3, entry=[0]), holding_period=1)
    for frame in (result.signals, result.trades, result.equity):
        pd.testing.assert_frame_equal(pa.Table.from_pandas(frame).to_pandas(), frame)


def test_writing_to_a_frame_leaves_the_candles_alone() -> None:
    candles = candles_of(flat(100, 110, 120))
    first = candles.timestamp[0]
    result = play(candles, signals_at(3, entry=[0]))
    result.equity.loc[0, "timestamp"] = pd.Timestamp("1999-01-01", tz="UTC")
    assert candles.timestamp[0] == first


def test_words_of_sides_and_reasons() -> None:
    result = play(
        flat(100, 100, 50, 50),
        signals_at(4, entry=[0], short_entry=[1]),
        direction="both",
        stop_loss_frac=0.9,
    )
    assert result.trades["side"].tolist() == ["long", "short"]
    assert result.trades["exit_reason"].tolist() == ["signal", "end_of_data"]
    assert result.signals["side"].tolist() == ["long", "short"]
