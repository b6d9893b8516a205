"""Measures a walk-forward: 20 folds of 1,000 trials, each on 2,500 bars, from the request to the account.

Time is that of the clock, with as many processes as are asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

from benchmark_candles import minutes
from benchmark_engine import BUILD, say

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    IntRange,
    SweepRequest,
    WalkForwardRequest,
    run_walk_forward,
)

FOLDS, TRAIN_BARS, TEST_BARS = 20, 2_500, 125
SPACE = {"params.fast": IntRange(2, 41), "params.slow": IntRange(45, 117, step=3)}
"""40 times 25 pairs of windows."""
WANTED_S = 10.0


def measured(processes: int, rounds: int) -> dict[str, Any]:
    """The best of some rounds, in seconds."""
    own = Candles.from_arrays("A", "1m", minutes(TRAIN_BARS + FOLDS * TEST_BARS))
    backtest = BacktestRequest(strategy="sma_cross", symbols=[own.symbol], timeframe=own.timeframe)
    request = WalkForwardRequest(
        sweep=SweepRequest(backtest=backtest, space=SPACE), train=TRAIN_BARS, test=TEST_BARS
    )
    taken = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        result = run_walk_forward(own, request, processes=processes)
        taken.append(time.perf_counter() - began_s)
    return {
        "processes": processes,
        "folds": len(result.folds),
        "trials": len(result.trials),
        "seconds": round(min(taken), 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measures and says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round instead of five")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    found = measured(asked.processes, 1 if asked.quick else 5)
    done = f"{found['folds']} folds, {found['trials']:,} trials of {TRAIN_BARS:,} bars"
    say(f"{done}, {found['processes']} processes")
    say(f"{found['seconds']} s (wanted: {WANTED_S:g} s), load average {found['load_average']}")
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "walk_forward.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
