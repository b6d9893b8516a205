"""Measures sweeps: trials a second of each strategy, growth, the report, and against vectorbt.

Times are those of the processor, in one process each.
"""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import numpy as np
from benchmark_candles import CASH, FEE_FRAC, best_cpu_ms, minutes
from benchmark_engine import BUILD, HERE, output, say, scratch_python
from benchmark_sweep_report import report_figures, say_report
from pydantic import Field

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    FloatRange,
    IntRange,
    Signals,
    Strategy,
    StrategyParams,
    SweepRequest,
    register,
    run_backtest,
    run_sweep,
)

BARS = 1_000
WANTED = {"sma_cross": 20_000, "close_above_yesterday": 4_000, "volume_zone_breakout": 1_000}
WANTED_OF_OTHERS = 5_000
SPACES: dict[str, dict[str, Any]] = {
    "sma_cross": {"params.fast": IntRange(2, 101), "params.slow": IntRange(102, 201)},
    "ema_cross": {"params.fast": IntRange(2, 71), "params.slow": IntRange(72, 141)},
    "rsi_reversion": {"params.window": IntRange(2, 61), "params.oversold": IntRange(10, 49)},
    "bollinger_reversion": {
        "params.window": IntRange(5, 104),
        "params.deviations": FloatRange(0.5, 3, step=0.1),
    },
    "macd_cross": {
        "params.fast": IntRange(5, 20),
        "params.slow": IntRange(21, 40),
        "params.signal": IntRange(5, 14),
    },
    "donchian_breakout": {"params.entry_window": IntRange(5, 84), "params.exit_window": IntRange(5, 44)},
    "momentum": {"params.window": IntRange(5, 84), "params.threshold": FloatRange(0, 0.1, step=0.0025)},
    "buy_and_hold": {"fee_bps": IntRange(1, 50), "stop_loss_frac": FloatRange(0.001, 0.06, step=0.001)},
    "volume_long_candle": {
        "params.vol_ma_window": IntRange(5, 44),
        "params.vol_multiplier": FloatRange(1, 3, step=0.1),
        "params.hold_period_bars": IntRange(1, 4),
    },
    "volume_zone_breakout": {
        "params.volume_window": IntRange(20, 69),
        "params.top_percentile": FloatRange(0.1, 0.29, step=0.01),
    },
    "close_above_yesterday": {"params.rise_frac": FloatRange(0.0001, 0.01, step=0.000_005)},
}


@register
class CloseAboveYesterday(Strategy):
    """Holds after a rise of the close, leaves after a fall: the strategy of the README."""

    name = "close_above_yesterday"

    class Params(StrategyParams):
        """How large a rise."""

        rise_frac: float = Field(0.01, gt=0, le=1, description="smallest rise of the close, as a fraction")

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        before = np.concatenate([candles.close[:1], candles.close[:-1]])
        change = candles.close / before - 1
        return Signals(entry=change >= params.rise_frac, exit=change < 0)


def main() -> None:
    """Measures, prints tables and writes `build/benchmark/sweep.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no growth, no rivals")
    parser.add_argument("--without-rivals", action="store_true", help="no scratch environment")
    options = parser.parse_args()

    found: dict[str, Any] = {"a_second": {name: speed(name) for name in SPACES}, "alone": alone_a_second()}
    found["report"] = report_figures()
    if not options.quick:
        found["growth"] = growth()
    if not (options.quick or options.without_rivals):
        found["vectorbt"] = vectorbt()
    say_all(found)
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / "sweep.json"
    target.write_text(json.dumps(found, indent=2) + "\n")
    say(f"\nwritten to {target}")


def candles_of(bars: int) -> dict[str, Candles]:
    """The candles of all benchmarks."""
    return {"X": Candles.from_arrays("X", "1m", minutes(bars))}


def request_of(strategy: str, space: dict[str, Any]) -> SweepRequest:
    """A grid over a space."""
    backtest = BacktestRequest(
        strategy=strategy, symbols=("X",), timeframe="1m", initial_cash=CASH, fee_bps=FEE_FRAC * 10_000
    )
    return SweepRequest(backtest=backtest, space=space)


def speed(strategy: str) -> dict[str, float]:
    """Trials a second of `run_sweep` in one process, from the request to the table with all metrics."""
    candles, asked = candles_of(BARS), request_of(strategy, SPACES[strategy])
    taken_ms = best_cpu_ms(lambda: run_sweep(candles, asked), seconds=4)
    return {"trials": asked.planned_trials, "a_second": asked.planned_trials / taken_ms * 1e3}


def alone_a_second() -> float:
    """Backtests a second, each by `run_backtest`."""
    candles = candles_of(BARS)
    asked = BacktestRequest(strategy="sma_cross", symbols=("X",), timeframe="1m")
    return 1e3 / best_cpu_ms(lambda: run_backtest(candles, asked))


def growth() -> dict[str, Any]:
    """Milliseconds of `sma_cross` as candles grow (400 trials) and as trials grow (1,000 candles)."""
    windows = {"params.fast": IntRange(2, 21), "params.slow": IntRange(22, 41)}
    by_bars = {
        bars: best_cpu_ms(lambda bars=bars: run_sweep(candles_of(bars), request_of("sma_cross", windows)))  # type: ignore[misc]  # bound now
        for bars in (10_000, 30_000, 100_000)
    }
    candles = candles_of(BARS)
    by_trials = {}
    for slow in (10, 30, 100, 300):
        asked = request_of(
            "sma_cross", {"params.fast": IntRange(2, 101), "params.slow": IntRange(102, 101 + slow)}
        )
        by_trials[100 * slow] = best_cpu_ms(lambda asked=asked: run_sweep(candles, asked))  # type: ignore[misc]  # bound now
    return {
        "ms_by_candles": by_bars,
        "ms_by_trials": by_trials,
        "exponent_of_candles": exponent(by_bars),
        "exponent_of_trials": exponent(by_trials),
    }


def exponent(times: dict[int, float]) -> float:
    """Growth from the least to the most: 1 is proportional."""
    least, most = min(times), max(times)
    return math.log(times[most] / times[least]) / math.log(most / least)


def vectorbt() -> dict[str, Any]:
    """The same grid by vectorbt, warm, with three metrics: its time over ours, and how far returns differ."""
    script = str(HERE / "benchmark_sweep_rival.py")
    theirs: dict[str, Any] = json.loads(output([scratch_python(), script, str(BARS)]).splitlines()[-1])
    fast, slow = theirs["fast"], theirs["slow"]
    asked = request_of(
        "sma_cross",
        {"params.fast": IntRange(*fast), "params.slow": IntRange(*slow)},
    )
    candles = candles_of(BARS)
    ours_ms = best_cpu_ms(lambda: run_sweep(candles, asked))
    trials = run_sweep(candles, asked).trials
    returns = np.array(theirs["total_return"])
    differences = np.abs(returns - trials.total_return.to_numpy(dtype=np.float64)) / (1.0 + np.abs(returns))
    return {
        "trials": asked.planned_trials,
        "ms": theirs["ms"],
        "ours_ms": ours_ms,
        "ratio": theirs["ms"] / ours_ms,
        "largest_difference": float(differences.max()),
    }


def say_all(found: dict[str, Any]) -> None:
    """Prints what was found as tables."""
    say(f"trials a second in one process, {BARS:,} candles, all metrics, by run_sweep")
    for name, one in found["a_second"].items():
        wanted = WANTED.get(name, WANTED_OF_OTHERS)
        say(f"  {name:<24}{one['a_second']:>10,.0f}  (wanted {wanted:,}; {one['trials']:,} trials)")
    say(f"  sma_cross, each by run_backtest: {found['alone']:,.0f} a second")
    for line in say_report(found["report"]):
        say(line)
    if "growth" in found:
        grown = found["growth"]
        for bars, taken in grown["ms_by_candles"].items():
            say(f"  {bars:>10,} candles, 400 trials  {taken:>10,.1f} ms")
        for trials, taken in grown["ms_by_trials"].items():
            say(f"  {trials:>10,} trials, {BARS:,} candles  {taken:>10,.1f} ms")
        candles, trials = grown["exponent_of_candles"], grown["exponent_of_trials"]
        say(f"  exponents: candles {candles:.3f}, trials {trials:.3f}")
    if "vectorbt" in found:
        rival = found["vectorbt"]
        say(
            f"vectorbt, {rival['trials']:,} trials with three metrics: {rival['ms']:,.0f} ms, ours with all "
            f"{rival['ours_ms']:,.0f} ms: {rival['ratio']:,.1f} times; returns differ by at most "
            f"{rival['largest_difference']:.1e}"
        )


if __name__ == "__main__":
    main()
