"""Measures the look-ahead checks: what they find on random walks, whom they accuse, and what a run pays."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from backtest_pipeline import BacktestRequest, Candles
from backtest_pipeline.engine import run as engine_run
from backtest_pipeline.engine.lookahead import check_look_ahead, look_ahead_of_run
from backtest_pipeline.model.strategy import Strategy
from backtest_pipeline.strategies.registry import signal_strategies
from backtest_pipeline_tests.engine.clairvoyant import FIVE, HONEST, KIN, Written, walk

BUILD = Path(__file__).resolve().parent.parent / "build" / "benchmark"
BARS, COST_BARS = 20_000, 10_000


def main() -> None:
    """Measures, prints tables and writes `build/benchmark/lookahead.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 walks instead of 40, 20 instead of 200")
    options = parser.parse_args()
    walks, honest_walks = (4, 20) if options.quick else (40, 200)

    candles = [walk(seed, BARS, gaps=seed % 2 == 1) for seed in range(walks)]
    say(f"found on {walks} walks of {BARS:,} bars, and CPU time a check")
    say(f"  {'strategy':<24}{'every run':>10}{'check':>8}{'ms':>10}")
    found = {formula.__name__: found_of(formula, candles) for formula in FIVE + KIN}
    say(f"accused of {honest_walks} walks; the check on 2,000 bars each, a run on {COST_BARS:,}")
    say(f"  {'strategy':<24}{'every run':>10}{'check':>8}")
    honest: list[Strategy] = [Written(formula) for formula in HONEST]
    honest += [strategy() for strategy in signal_strategies().values()]
    accused = {name_of(strategy): accused_of(strategy, honest_walks) for strategy in honest}
    say(f"cost of the check in every run, {COST_BARS:,} bars, share of the run's CPU time")
    cost = {name_of(strategy): cost_of(strategy) for strategy in honest}
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / "lookahead.json"
    target.write_text(json.dumps({"found": found, "accused": accused, "cost": cost}, indent=2) + "\n")
    say(f"\nwritten to {target}")


def found_of(formula: Any, candles: list[Candles]) -> dict[str, float]:
    """How many of the walks show by either check that the strategy knows the future."""
    strategy = Written(formula)
    by_run = sum(passed_in_run(strategy, own) is False for own in candles)
    start = time.process_time()
    by_check = sum(
        not check_look_ahead(strategy, strategy.Params(), own, cuts=50, seed=seed).passed
        for seed, own in enumerate(candles)
    )
    taken_ms = (time.process_time() - start) / len(candles) * 1e3
    say(f"  {formula.__name__:<24}{by_run:>10}{by_check:>8}{taken_ms:>10,.1f}")
    return {"every_run": by_run, "check": by_check, "check_ms": taken_ms}


def accused_of(strategy: Strategy, walks: int) -> dict[str, int]:
    """How many walks make an honest strategy look otherwise."""
    by_run = by_check = 0
    for seed in range(walks):
        own = walk(1_000 + seed, COST_BARS, gaps=seed % 2 == 1)
        by_run += passed_in_run(strategy, own, seed) is False
        by_check += not check_look_ahead(
            strategy, strategy.Params(), own.slice(0, 2_000), cuts=20, seed=seed, stretch_cuts=200
        ).passed
    say(f"  {name_of(strategy):<24}{by_run:>10}{by_check:>8}")
    return {"every_run": by_run, "check": by_check}


def cost_of(strategy: Strategy) -> dict[str, float]:
    """Best CPU times of a run and of the check within it, in one process, and their ratio."""
    own = walk(7, COST_BARS, gaps=True)
    params, asked = strategy.Params(), request(strategy)
    noted: dict[str, Any] = {}

    def noting(*arguments: Any, **named: Any) -> tuple[dict[str, Any], list[str]]:
        noted["arguments"], noted["named"] = arguments, named
        return look_ahead_of_run(*arguments, **named)

    with patch.object(engine_run, "look_ahead_of_run", noting):
        engine_run.run({"X": own}, asked, strategy, params)
    check_us = best_us(lambda: look_ahead_of_run(*noted["arguments"], **noted["named"]))
    run_us = best_us(lambda: engine_run.run({"X": own}, asked, strategy, params))
    say(f"  {name_of(strategy):<24}{check_us:>8,.0f} of {run_us:>8,.0f} us{check_us / run_us:>9.1%}")
    return {"check_us": check_us, "run_us": run_us, "share": check_us / run_us}


def passed_in_run(strategy: Strategy, candles: Candles, seed: int = 0) -> bool | None:
    """What a run says about its strategy."""
    result = engine_run.run({"X": candles}, request(strategy, seed), strategy, strategy.Params())
    passed: bool | None = result.checks["look_ahead"]["passed"]
    return passed


def request(strategy: Strategy, seed: int = 0) -> BacktestRequest:
    """A backtest of the walk, with shorts for the one strategy that is about them."""
    is_short = name_of(strategy) == "short_exit_only"
    return BacktestRequest(
        strategy=strategy.name,
        symbols=("X",),
        timeframe="1h",
        direction="both" if is_short else "long",
        seed=seed,
    )


def best_us(work: Callable[[], object], seconds: float = 1.0) -> float:
    """Shortest CPU time of as many repetitions as fit into the time, after one that warms up."""
    work()
    taken: list[float] = []
    while len(taken) < 20 or sum(taken) < seconds:
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return float(np.min(taken)) * 1e6


def name_of(strategy: Strategy) -> str:
    """A formula's name, or the strategy's own."""
    return strategy.formula.__name__ if isinstance(strategy, Written) else strategy.name


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
