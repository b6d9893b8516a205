"""What the page's script draws and sorts by itself: candles and trades, packed."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.reports.charts.downsample import bars_a_candle, fewer_candles
from backtest_pipeline.reports.charts.timeline import HALF_A_DAY_MS, milliseconds

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles

MOST_CANDLES, MOST_CANDLES_A_SYMBOL, FEWEST_CANDLES_A_SYMBOL = 20_000, 2_000, 40
MOST_TRADES = 5_000
DIGITS = 8

# Bars of stocks have nights and weekends between them; the width is that of the bars that follow closely.
BODY_SHARE = 0.7


def candles_data(candles: Mapping[str, Candles], symbols: Sequence[str]) -> dict[str, Any]:
    """Each symbol's candles, merged to so few that a page of 500 symbols stays small.

    Returns:
        By symbol: columns as little-endian base64, `x` of float64 in milliseconds and the others of float32;
        `width_ms` of a body; `bars`, of how many bars a candle is made.
    """
    most = min(max(MOST_CANDLES // len(symbols), FEWEST_CANDLES_A_SYMBOL), MOST_CANDLES_A_SYMBOL)
    packed = {}
    for symbol in symbols:
        if symbol in candles:
            few = fewer_candles(candles[symbol], most)
            x = milliseconds(few.timestamp)
            steps = np.diff(x)
            packed[symbol] = {
                "x": _base64(x, "<f8"),
                **{name[0]: _base64(getattr(few, name), "<f4") for name in ("open", "high", "low", "close")},
                "v": _base64(few.volume, "<f4"),
                "width_ms": BODY_SHARE * float(np.median(steps)) if len(steps) else HALF_A_DAY_MS,
                "bars": bars_a_candle(len(candles[symbol]), most),
            }
    return packed


def trades_data(trades: pd.DataFrame, most: int = MOST_TRADES) -> dict[str, list[Any]]:
    """The trades by column, those with the largest profit or loss where there are more than `most`."""
    if len(trades) > most:
        order = np.argsort(-np.abs(trades["pnl"].to_numpy(dtype=np.float64)), kind="stable")
        trades = trades.iloc[np.sort(order[:most])]
    columns: dict[str, list[Any]] = {}
    for name in trades.columns:
        column = trades[name]
        if name.endswith("_time"):
            moments = column.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
            columns[name] = milliseconds(moments).astype(np.int64).tolist()
        elif column.dtype.kind == "f":
            columns[name] = [_rounded(value) for value in column.tolist()]
        else:
            columns[name] = column.tolist()
    return columns


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _base64(values: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(values.astype(dtype).tobytes()).decode()
