"""The candles and the clock of all benchmarks; NumPy is all they need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

FAST, SLOW, FEE_FRAC, CASH = 10, 20, 0.000_01, 10_000.0


def minutes(bars: int) -> dict[str, Any]:
    """Columns of minute candles: a random walk of a tenth of a percent a bar, the same every time."""
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, bars)))
    open_ = np.concatenate([close[:1], close[:-1]]) * (1.0 + rng.normal(0.0, 1e-4, bars))
    return {
        "timestamp": np.datetime64("2000-01-03", "us") + np.arange(bars) * np.timedelta64(60_000_000, "us"),
        "open": open_,
        "high": np.maximum(open_, close) * 1.0005,
        "low": np.minimum(open_, close) * 0.9995,
        "close": close,
        "volume": rng.integers(1, 1_000, bars).astype(np.float64),
    }


def walks(symbols: int, bars: int, bar_s: int) -> dict[str, dict[str, Any]]:
    """Columns of several symbols' candles, each a random walk of a percent a bar (a minute: a tenth)."""
    deviation = 1e-3 if bar_s < 3_600 else 1e-2
    timestamp = np.datetime64("2015-01-01", "us") + np.arange(bars) * np.timedelta64(bar_s * 1_000_000, "us")
    found = {}
    for number in range(symbols):
        rng = np.random.default_rng(number)
        close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, deviation, bars)))
        open_ = np.concatenate([close[:1], close[:-1]])
        found[f"S{number:03d}"] = {
            "timestamp": timestamp,
            "open": open_,
            "high": np.maximum(open_, close) * 1.0005,
            "low": np.minimum(open_, close) * 0.9995,
            "close": close,
            "volume": np.ones(bars),
        }
    return found


def exponent_of(times: dict[int, float]) -> float:
    """The power of the size with which the time grows, by the least squares of logarithms."""
    return float(np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)[0])


def best_ms(
    work: Callable[[], object],
    *,
    seconds: float = 2.0,
    least: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Shortest of as many repetitions as fit into the time, after one that warms up, in milliseconds."""
    work()
    taken: list[float] = []
    while len(taken) < least or sum(taken) < seconds:
        start = clock()
        work()
        taken.append(clock() - start)
    return min(taken) * 1e3


def best_cpu_ms(work: Callable[[], object], *, seconds: float = 2.0) -> float:
    """The same of the time that this process computes, which hangs less on what else the machine does."""
    return best_ms(work, seconds=seconds, clock=time.process_time)
