"""Measures the engine: against its rivals, as candles grow, in a fresh process, and in memory."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tracemalloc
import venv
from pathlib import Path
from typing import Any

from benchmark_candles import CASH, FAST, FEE_FRAC, SLOW, best_ms, minutes

from backtest_pipeline import BacktestRequest, Candles, run_backtest

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "benchmark"
RIVALS = {"vectorbt": (10_000, 100_000, 1_000_000), "backtesting": (10_000, 100_000)}
FRESH = """
import time
import numpy, pandas
start = time.perf_counter()
from backtest_pipeline import BacktestRequest, Candles, run_backtest
from benchmark_candles import minutes
columns = minutes(1_000_000)
made = time.perf_counter()
candles = Candles.from_arrays("X", "1m", columns)
run_backtest({"X": candles}, BacktestRequest(strategy="sma_cross", symbols=["X"], timeframe="1m"))
print(time.perf_counter() - start)
"""


def main() -> None:
    """Measures, prints tables and writes `build/benchmark/engine.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to a million candles, no rivals")
    parser.add_argument("--without-rivals", action="store_true", help="no scratch environment")
    options = parser.parse_args()

    found: dict[str, Any] = {"growth": growth(7 if not options.quick else 6)}
    found["exponent"] = exponent(found["growth"])
    found["zone_breakout_10000_ms"] = run_ms("volume_zone_breakout", 10_000)
    found["memory_bytes_per_candle"] = memory_bytes_per_candle(1_000_000)
    found["fresh_process_s"] = fresh_process_s()
    if not (options.quick or options.without_rivals):
        found["rivals"] = {name: rival(name, sizes) for name, sizes in RIVALS.items()}
    say_all(found)
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / "engine.json"
    target.write_text(json.dumps(found, indent=2) + "\n")
    say(f"\nwritten to {target}")


def run_ms(strategy: str, bars: int, params: dict[str, Any] | None = None) -> float:
    """Best time of `run_backtest`, warm, with all results and metrics."""
    candles = {"X": Candles.from_arrays("X", "1m", minutes(bars))}
    asked = request(strategy, params or {})
    return best_ms(lambda: run_backtest(candles, asked))


def request(strategy: str, params: dict[str, Any]) -> BacktestRequest:
    """The backtest that every engine runs."""
    return BacktestRequest(
        strategy=strategy,
        params=params,
        symbols=("X",),
        timeframe="1m",
        initial_cash=CASH,
        fee_bps=FEE_FRAC * 10_000,
    )


def growth(largest_power: int) -> dict[int, float]:
    """Milliseconds for 10**3 up to 10**largest_power candles."""
    sizes = [10**power for power in range(3, largest_power + 1)]
    return {bars: run_ms("sma_cross", bars, {"fast": FAST, "slow": SLOW}) for bars in sizes}


def exponent(times: dict[int, float]) -> float:
    """Growth from 10**5 candles to the most: 1 is proportional."""
    most = max(times)
    return math.log(times[most] / times[100_000]) / math.log(most / 100_000)


def memory_bytes_per_candle(bars: int) -> float:
    """Peak of what a run allocates over the candles themselves."""
    candles = {"X": Candles.from_arrays("X", "1m", minutes(bars))}
    asked = request("sma_cross", {"fast": FAST, "slow": SLOW})
    run_backtest(candles, asked)
    tracemalloc.start()
    run_backtest(candles, asked)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / bars


def fresh_process_s() -> float:
    """Best of three new processes: imports, cached kernels, a million candles made and run, after pandas."""
    return min(float(output([sys.executable, "-c", FRESH])) for _ in range(3))


def rival(name: str, sizes: tuple[int, ...]) -> dict[str, Any]:
    """One rival's times and ours over them, and by how much the final equities differ."""
    python = scratch_python()
    script = str(HERE / "benchmark_rivals.py")
    theirs: dict[str, Any] = json.loads(output([python, script, name, *map(str, sizes)]).splitlines()[-1])
    asked = request("sma_cross", {"fast": FAST, "slow": SLOW})
    for size, found in theirs["bars"].items():
        candles = {"X": Candles.from_arrays("X", "1m", minutes(int(size)))}
        found["ours_ms"] = best_ms(lambda candles=candles: run_backtest(candles, asked))  # type: ignore[misc]  # bound now
        found["ratio"] = found["ms"] / found["ours_ms"]
        final = run_backtest(candles, asked).metrics["final_equity"]
        if final and found["final"] is not None:
            found["difference"] = abs(found["final"] / final - 1.0)
    return theirs


def scratch_python() -> str:
    """Interpreter of an environment of the rivals' own, made when first needed."""
    folder = BUILD / "rivals"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        say("installing backtesting and vectorbt into a scratch environment")
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--quiet", "backtesting", "vectorbt"]
        subprocess.run(command, check=True)  # noqa: S603  a fixed command
        (folder / ".complete").touch()
    return str(python)


def output(command: list[str]) -> str:
    """What a process prints."""
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)  # noqa: S603  ours
    return done.stdout


def say_all(found: dict[str, Any]) -> None:
    """Prints what was found as tables."""
    say("sma_cross through run_backtest, all results and metrics, warm")
    for bars, taken in found["growth"].items():
        say(f"  {bars:>10,} candles  {taken:>10,.2f} ms")
    say(f"  exponent from 100,000 candles on: {found['exponent']:.3f}")
    say(f"volume_zone_breakout, 10,000 candles: {found['zone_breakout_10000_ms']:.2f} ms")
    say(f"peak memory over the candles: {found['memory_bytes_per_candle']:.0f} bytes a candle")
    say(f"a million candles in a fresh process, over pandas: {found['fresh_process_s']:.2f} s")
    for name, theirs in found.get("rivals", {}).items():
        say(f"{name}: first run in a fresh process {theirs['first_run_ms'] / 1e3:.1f} s")
        for size, one in theirs["bars"].items():
            difference = f", equity differs by {one['difference']:.1e}" if "difference" in one else ""
            say(
                f"  {int(size):>10,} candles  {one['ms']:>10,.1f} ms, ours {one['ours_ms']:,.2f} ms: "
                f"{one['ratio']:,.0f} times{difference}"
            )


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
