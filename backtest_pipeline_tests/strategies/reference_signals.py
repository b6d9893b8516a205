"""The predecessor's two strategies once more, bar by bar and in exact fractions, from their description."""

from __future__ import annotations

from fractions import Fraction

from backtest_pipeline.model.candles import Candles
from backtest_pipeline.strategies.builtin.volume_long_candle import VolumeLongCandle
from backtest_pipeline.strategies.builtin.volume_zone_breakout import VolumeZoneBreakout

# bar -> confidence
Found = dict[int, float]


def volume_long_candle(candles: Candles, params: VolumeLongCandle.Params) -> Found:
    found = {}
    for bar in range(params.vol_ma_window - 1, len(candles)):
        window = candles.volume[bar - params.vol_ma_window + 1 : bar + 1].tolist()
        mean = float(sum(map(Fraction, window)) / len(window))
        open_, high, low, close, volume = (
            float(getattr(candles, name)[bar]) for name in ("open", "high", "low", "close", "volume")
        )
        surge = volume >= mean * params.vol_multiplier
        long_candle = (
            (close - open_) / open_ >= params.body_pct
            and close > open_
            and (high - close) / open_ < 2 * params.body_pct
            and (open_ - low) / open_ < 2 * params.body_pct
        )
        if surge and long_candle:
            found[bar] = min(volume / mean / (2 * params.vol_multiplier), 1.0) if mean else 0.0
    return found


def volume_zone_breakout(candles: Candles, params: VolumeZoneBreakout.Params) -> Found:
    found = {}
    was_above = False
    for bar in range(params.volume_window, len(candles)):
        resistance = resistance_of(candles.slice(bar - params.volume_window, bar), params)
        is_above = False
        if resistance is not None:
            high, level = float(candles.high[bar]), resistance * (1 + params.breakout_buffer)
            is_above = high >= level
            if is_above and not (params.first_break_only and was_above):
                found[bar] = min(0.5 + (high - level) / level, 1.0)
        was_above = is_above
    return found


def resistance_of(window: Candles, params: VolumeZoneBreakout.Params) -> float | None:
    bottoms, tops = window.low.tolist(), window.high.tolist()
    if not params.include_wicks:
        bodies = list(zip(window.open.tolist(), window.close.tolist(), strict=True))
        bottoms, tops = [min(body) for body in bodies], [max(body) for body in bodies]
    lowest, highest = min(bottoms), max(tops)
    total = sum(map(Fraction, window.volume.tolist()))
    if not total:
        return None
    if lowest == highest:
        return float(lowest)

    width = (highest - lowest) / params.num_bins
    edges = [lowest + number * width for number in range(params.num_bins)] + [highest]
    wanted = Fraction(params.top_percentile) * total * (1 - Fraction(1, 10**12))
    added = Fraction(0)
    for number in reversed(range(params.num_bins)):
        for bottom, top, volume in zip(bottoms, tops, window.volume.tolist(), strict=True):
            is_top = number == params.num_bins - 1
            added += Fraction(volume) * share_in_bin(bottom, top, edges[number], edges[number + 1], is_top)
        if added >= wanted:
            return float(edges[number])
    raise AssertionError("the bins hold less than the window")


def share_in_bin(bottom: float, top: float, lower: float, upper: float, is_top: bool) -> Fraction:
    if bottom == top:
        return Fraction(lower <= top and (top < upper or is_top))
    if top <= lower or bottom >= upper:
        return Fraction(0)
    overlap = Fraction(min(top, upper)) - Fraction(max(bottom, lower))
    return overlap / (Fraction(top) - Fraction(bottom))
