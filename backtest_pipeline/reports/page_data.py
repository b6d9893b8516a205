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
    from backtest_pipeline.model.drawing import Drawing

MOST_CELLS, FEWEST_CANDLES_A_SYMBOL = 200_000, 40
MOST_TRADES = 5_000
DIGITS = 8

CANDLE_COLUMNS = 7


def candles_data(
    candles: Mapping[str, Candles], symbols: Sequence[str], drawings: Mapping[str, Drawing] | None = None
) -> dict[str, Any]:
    """Each symbol's bars, merged only where there are so many that the page would grow large.

    The page's script merges them further, as the time in sight asks for.

    Args:
        candles: by symbol.
        symbols: in the order of the request.
        drawings: the strategy's lines, by symbol.

    Returns:
        By symbol: columns as little-endian base64, `x` and `ends` (open times of the first and last bar of
        each candle) as uint32 counts of `unit_ms` after `first_ms`, the others of float32; `step_ms`, the
        usual time from bar to bar; `bars`, of how many bars a candle is made; `lines`, each with `name`,
        `pane` (-1: the prices), `place` in it, and `values` at each candle's last bar as float32, or one
        `level`.
    """
    drawn = drawings or {}
    columns = CANDLE_COLUMNS + max((len(_lines(one)) for one in drawn.values()), default=0)
    most = max(MOST_CELLS // (columns * len(symbols)), FEWEST_CANDLES_A_SYMBOL)
    return {
        symbol: _packed(candles[symbol], most, _lines(drawn[symbol]) if symbol in drawn else [])
        for symbol in symbols
        if symbol in candles
    }


def _lines(drawing: Drawing) -> list[tuple[int, int, str, NDArray[np.float64] | float]]:
    """Each line with the number of its pane and its place in it."""
    panes = enumerate([drawing.lines, *drawing.panes.values()], start=-1)
    return [
        (pane, place, name, values)
        for pane, lines in panes
        for place, (name, values) in enumerate(lines.items())
    ]


def _packed(
    candles: Candles, most: int, lines: Sequence[tuple[int, int, str, NDArray[np.float64] | float]]
) -> dict[str, Any]:
    few, bars = fewer_candles(candles, most), bars_a_candle(len(candles), most)
    opens_s = candles.timestamp.astype("datetime64[s]").astype(np.int64)
    steps = np.diff(opens_s)
    unit = int(np.gcd.reduce(steps)) if len(steps) else 1
    counts = (opens_s - opens_s[0]) // unit
    ends = np.minimum(np.arange(len(few)) * bars + bars, len(candles)) - 1
    return {
        "first_ms": int(opens_s[0]) * 1_000,
        "unit_ms": unit * 1_000,
        "x": _base64(counts[::bars], "<u4"),
        "ends": _base64(counts[ends], "<u4"),
        **{name[0]: _base64(getattr(few, name), "<f4") for name in ("open", "high", "low", "close")},
        "v": _base64(few.volume, "<f4"),
        # Bars of stocks have nights and weekends between them; bodies suit bars that follow closely.
        "step_ms": 1_000 * float(np.median(steps)) if len(steps) else HALF_A_DAY_MS,
        "bars": bars,
        "lines": [
            {"pane": pane, "place": place, "name": name}
            | ({"level": values} if isinstance(values, float) else {"values": _base64(values[ends], "<f4")})
            for pane, place, name, values in lines
        ],
    }


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
