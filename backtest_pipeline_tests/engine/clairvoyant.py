"""Strategies that know the future, each in its own way; honest ones that look suspicious; random walks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest_pipeline.engine.indicators import crossed_above, crossed_below, ema, sma
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams

Formula = Callable[[Candles], Signals]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Written(Strategy):
    """Runs a formula."""

    name = "written"

    def __init__(self, formula: Formula) -> None:
        self.formula = formula

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        return self.formula(candles)


def walk(seed: int, bars: int = 20_000, *, gaps: bool = False) -> Candles:
    """Hourly candles of a random walk by half a percent a bar; with `gaps` a bar opens off the last close."""
    rng = np.random.default_rng([2024, seed])
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.005, bars)))
    open_ = np.concatenate([[100.0], close[:-1]])
    if gaps:
        open_ = open_ * np.exp(rng.normal(0.0, 0.001, bars))
    columns: dict[str, NDArray[Any]] = {
        "timestamp": np.datetime64("2020-01-01", "us") + np.arange(bars) * np.timedelta64(1, "h"),
        "open": open_,
        "high": np.maximum(open_, close) * (1.0 + np.abs(rng.normal(0.0, 0.001, bars))),
        "low": np.minimum(open_, close) * (1.0 - np.abs(rng.normal(0.0, 0.001, bars))),
        "close": close,
        "volume": rng.lognormal(6.0, 0.7, bars),
    }
    return Candles.from_arrays("X", "1h", columns)


def later(values: NDArray[Any], bars: int = 1, fill: Any = np.nan) -> NDArray[Any]:
    """What the values will be that many bars later."""
    moved = np.full_like(values, fill)
    moved[:-bars] = values[bars:]
    return moved


def before(values: NDArray[Any]) -> Floats:
    return np.concatenate([[np.nan], values[:-1]])


def rises(candles: Candles) -> Flags:
    return candles.close > before(candles.close)


def rare(candles: Candles) -> Flags:
    """A move of more than 3.3 deviations of the last 50: about one bar in a thousand."""
    move = np.diff(np.log(candles.close), prepend=np.nan)
    deviation = np.sqrt(sma(np.nan_to_num(move) ** 2, 50))
    return np.abs(move) > 3.0 * deviation


def of_day(candles: Candles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each bar's day, and each day's last bar."""
    day = candles.timestamp.astype("datetime64[D]").astype(np.int64)
    day -= day[0]
    return day, np.searchsorted(day, np.arange(day[-1] + 1), side="right") - 1


# --- the five of the targets -------------------------------------------------------------------------------


def shift(candles: Candles) -> Signals:
    fast, slow = sma(candles.close, 10), sma(candles.close, 20)
    up, down = crossed_above(fast, slow), crossed_below(fast, slow)
    return Signals(entry=later(up, fill=False), exit=later(down, fill=False))


def veto(candles: Candles) -> Signals:
    falls_next = later(candles.close) < candles.close
    return Signals(entry=rises(candles) & ~falls_next, exit=~rises(candles))


def rare_exit(candles: Candles) -> Signals:
    entry = crossed_above(candles.close, sma(candles.close, 20))
    return Signals(entry=entry, exit=rare(candles) & (later(candles.close) < candles.close))


def day_label(candles: Candles) -> Signals:
    day, last = of_day(candles)
    final = candles.close[last[day]]
    return Signals(entry=final > candles.close * 1.01, exit=final < candles.close)


def global_scale(candles: Candles) -> Signals:
    score = (candles.close - candles.close.mean()) / candles.close.std()
    return Signals(entry=crossed_above(score, 0.5), exit=crossed_below(score, -0.5))


# --- their kin ---------------------------------------------------------------------------------------------


def raw_shift(candles: Candles) -> Signals:
    return Signals(entry=later(candles.close) > candles.close, exit=later(candles.close) < candles.close)


def veto_by_body(candles: Candles) -> Signals:
    return Signals(entry=rises(candles) & ~(later(candles.close) < later(candles.open)))


def veto_by_much(candles: Candles) -> Signals:
    return Signals(entry=rises(candles) & ~(later(candles.close) < candles.close * 0.99))


def day_high(candles: Candles) -> Signals:
    day, last = of_day(candles)
    first = np.concatenate([[0], last[:-1] + 1])
    highest = np.maximum.reduceat(candles.high, first)[day]
    return Signals(entry=candles.close < highest * 0.985, exit=candles.high >= highest)


def day_high_pandas(candles: Candles) -> Signals:
    frame = candles.to_frame()
    highest = frame.groupby(frame["timestamp"].dt.date)["high"].transform("max").to_numpy()
    return Signals(entry=candles.high >= highest)


def share_of_maximum(candles: Candles) -> Signals:
    share = candles.close / candles.close.max()
    return Signals(entry=crossed_above(share, 0.8), exit=crossed_below(share, 0.7))


def scaled_returns(candles: Candles) -> Signals:
    move = np.diff(np.log(candles.close), prepend=np.log(candles.close[0]))
    return Signals(entry=move > 2 * move.std(), exit=move < -2 * move.std())


def ranked(candles: Candles) -> Signals:
    rank = np.argsort(np.argsort(candles.close)) / len(candles)
    return Signals(entry=crossed_below(rank, 0.3), exit=crossed_above(rank, 0.7))


def two_ahead(candles: Candles) -> Signals:
    return Signals(entry=later(candles.close, 2) > candles.close * 1.005)


def ten_ahead(candles: Candles) -> Signals:
    entry = crossed_above(candles.close, sma(candles.close, 20)) & (later(candles.close, 10) > candles.close)
    return Signals(entry=entry)


def best_of_the_next_ten(candles: Candles) -> Signals:
    reach = pd.Series(candles.high)[::-1].rolling(10, min_periods=1).max()[::-1].shift(-1).to_numpy()
    return Signals(entry=reach > candles.close * 1.02)


def next_open(candles: Candles) -> Signals:
    return Signals(entry=rises(candles) & (later(candles.open) > candles.close))


def next_volume(candles: Candles) -> Signals:
    return Signals(entry=rises(candles) & (later(candles.volume) > sma(candles.volume, 20)))


def next_range(candles: Candles) -> Signals:
    spread = candles.high - candles.low
    return Signals(entry=rises(candles) & (later(spread) > 1.5 * sma(spread, 20)))


def calm_next(candles: Candles) -> Signals:
    move = np.abs(later(candles.close) / candles.close - 1)
    return Signals(entry=rises(candles) & (move < 0.002))


def short_exit_only(candles: Candles) -> Signals:
    fast, slow = sma(candles.close, 10), sma(candles.close, 20)
    down, up = crossed_below(fast, slow), crossed_above(fast, slow)
    return Signals(
        entry=up,
        exit=down,
        short_entry=down,
        short_exit=rises(candles) & (later(candles.close) > candles.close),
    )


def confidence_only(candles: Candles) -> Signals:
    gain = np.nan_to_num(later(candles.close) / candles.close - 1)
    return Signals(entry=rises(candles), confidence=np.clip(0.5 + 10 * gain, 0, 1))


def centred_window(candles: Candles) -> Signals:
    smooth = pd.Series(candles.close).rolling(21, center=True).mean().to_numpy()
    return Signals(entry=crossed_above(candles.close, smooth))


def centred_peak(candles: Candles) -> Signals:
    peak = np.zeros(len(candles), dtype=np.bool_)
    peak[2:-2] = candles.high[2:-2] == np.max(
        [candles.high[at : len(candles) - 4 + at] for at in range(5)], axis=0
    )
    return Signals(entry=np.zeros_like(peak), exit=peak)


def gradient(candles: Candles) -> Signals:
    slope = np.gradient(candles.close) if len(candles) > 1 else np.zeros(1)
    return Signals(entry=crossed_above(slope, 0.0), exit=crossed_below(slope, 0.0))


def backfilled(candles: Candles) -> Signals:
    average = pd.Series(sma(candles.close, 50)).bfill().to_numpy()
    return Signals(entry=candles.close > average)


def backfilled_between(candles: Candles) -> Signals:
    level = pd.Series(np.where(np.arange(len(candles)) % 24 == 23, candles.close, np.nan)).bfill().to_numpy()
    return Signals(entry=candles.close < level * 0.99)


def interpolated(candles: Candles) -> Signals:
    level = pd.Series(np.where(np.arange(len(candles)) % 12 == 0, candles.close, np.nan)).interpolate()
    return Signals(entry=candles.close < level.to_numpy() * 0.995)


def resampled(candles: Candles) -> Signals:
    frame = candles.to_frame().set_index("timestamp")
    daily = frame["close"].resample("1D").last()
    aligned = daily.reindex(frame.index, method="ffill").to_numpy()
    return Signals(entry=candles.close < aligned * 0.99)


def in_a_regime(candles: Candles) -> Signals:
    calm = sma(candles.high / candles.low - 1, 50) < 0.0066
    knows = later(candles.close) > candles.close
    return Signals(entry=rises(candles) & np.where(calm, knows, True))


def in_the_second_half(candles: Candles) -> Signals:
    knows = (later(candles.close) > candles.close) | (candles.timestamp < np.datetime64("2021-03-01"))
    return Signals(entry=rises(candles) & knows)


def once_in_500(candles: Candles) -> Signals:
    hour = candles.timestamp.astype("datetime64[h]").astype(np.int64)
    knows = (later(candles.close) > candles.close) | (hour % 500 != 0)
    return Signals(entry=rises(candles) & knows)


def optimised_on_all(candles: Candles) -> Signals:
    windows = (5, 10, 20, 40)
    move = np.diff(candles.close, prepend=candles.close[0])
    gains = [
        np.nansum(np.where(before(candles.close > sma(candles.close, w)) == 1, move, 0)) for w in windows
    ]
    return Signals(entry=crossed_above(candles.close, sma(candles.close, windows[int(np.argmax(gains))])))


def last_bar_exit(candles: Candles) -> Signals:
    leave = np.zeros(len(candles), dtype=np.bool_)
    leave[-1] = True
    return Signals(entry=rises(candles), exit=leave)


FIVE = [shift, veto, rare_exit, day_label, global_scale]
KIN = [
    raw_shift,
    veto_by_body,
    veto_by_much,
    day_high,
    day_high_pandas,
    share_of_maximum,
    scaled_returns,
    ranked,
    two_ahead,
    ten_ahead,
    best_of_the_next_ten,
    next_open,
    next_volume,
    next_range,
    calm_next,
    short_exit_only,
    confidence_only,
    centred_window,
    centred_peak,
    gradient,
    backfilled,
    backfilled_between,
    interpolated,
    resampled,
    in_a_regime,
    in_the_second_half,
    once_in_500,
    optimised_on_all,
    last_bar_exit,
]


# --- honest, though rounding or a long memory may make them look otherwise ---------------------------------


def summed_average(values: Floats, window: int) -> Floats:
    """A rolling mean by a running sum, whose last digits hang on everything before."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    average = np.full(len(values), np.nan)
    average[window - 1 :] = (total[window:] - total[:-window]) / window
    return average


def by_running_sums(candles: Candles) -> Signals:
    average = summed_average(candles.close, 20)
    return Signals(entry=candles.close > average, exit=candles.close < average)


def by_weights(candles: Candles) -> Signals:
    """A weighted mean by a matrix product, whose last digits hang on the number of rows."""
    weights = np.arange(1.0, 14.0) / np.arange(1.0, 14.0).sum()
    average = np.full(len(candles), np.nan)
    if len(candles) >= 13:
        average[12:] = np.lib.stride_tricks.sliding_window_view(candles.close, 13) @ weights
    return Signals(entry=candles.close > average, exit=candles.close < average)


def by_centred_sums(candles: Candles) -> Signals:
    """Subtracts the mean of all, for the sake of digits, and adds it again: the same but for rounding."""
    middle = candles.close.mean()
    average = summed_average(candles.close - middle, 20) + middle
    return Signals(entry=candles.close > average, exit=candles.close < average)


def by_fourier(candles: Candles) -> Signals:
    """A rolling mean by Fourier transforms, whose last digits hang on every value."""
    size = 2 * len(candles)
    kernel = np.zeros(len(candles))
    kernel[:20] = 1 / 20
    average = np.fft.irfft(np.fft.rfft(candles.close, size) * np.fft.rfft(kernel, size), size)[: len(candles)]
    average[:19] = np.nan
    return Signals(entry=candles.close > average, exit=candles.close < average)


def by_pandas(candles: Candles) -> Signals:
    close = pd.Series(candles.close)
    average, deviation = close.rolling(20).mean(), close.rolling(20).std()
    score = (close - average) / deviation
    return Signals(
        entry=(score < -2).to_numpy(),
        exit=(score > 0).to_numpy(),
        confidence=(1 / (1 + score.abs())).fillna(0).clip(0, 1).to_numpy(),
    )


def by_long_memory(candles: Candles) -> Signals:
    fast, slow = ema(candles.close, 200), sma(candles.close, 1_000)
    return Signals(entry=crossed_above(fast, slow), exit=crossed_below(fast, slow))


def since_the_start(candles: Candles) -> Signals:
    paid = np.cumsum(candles.close * candles.volume) / np.cumsum(candles.volume)
    return Signals(entry=crossed_above(candles.close, paid), exit=crossed_below(candles.close, paid))


HONEST = [
    by_running_sums,
    by_weights,
    by_centred_sums,
    by_fourier,
    by_pandas,
    by_long_memory,
    since_the_start,
]
