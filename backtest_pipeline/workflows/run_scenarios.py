"""A backtest in other histories of its market: how much of its result hangs on the one that there was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.inputs import seen_candles, warmup_bars_of
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.research.bootstrap import FEWEST_BARS, block_length
from backtest_pipeline.research.market_scenarios import resampled_market
from backtest_pipeline.strategies.registry import resolve
from backtest_pipeline.workflows.run_backtest import run_resolved

if TYPE_CHECKING:
    from backtest_pipeline.engine.inputs import SeenCandles
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import Metrics

SHOWN = ("total_return", "cagr", "sharpe", "sortino", "max_drawdown", "win_rate", "profit_factor", "trades")
MOST_RUNS = 10_000
_HEADING = "no scenarios can be made"


@dataclass(frozen=True, slots=True)
class MetricInScenarios:
    """One metric in all scenarios.

    Attributes:
        actual: in the market's own history.
        low, median, high: 5th, 50th and 95th percentile of the scenarios that have it.
        worse_frac: share of these in which it is worse than the actual one; none where neither more nor less
            of it is better.
    """

    actual: float | None
    low: float | None
    median: float | None
    high: float | None
    worse_frac: float | None


@dataclass(frozen=True, slots=True)
class Scenarios:
    """What became of a backtest in other histories.

    Attributes:
        runs: how many.
        block_bars: length of the blocks that they are made of.
        metrics: by name.
    """

    runs: int
    block_bars: int
    metrics: Mapping[str, MetricInScenarios]


def run_scenarios(
    candles: Mapping[str, Candles],
    request: BacktestRequest,
    *,
    runs: int = 200,
    block_bars: int | None = None,
    seed: int = 0,
    timezone: str = "UTC",
    progress_callback: Callable[[int], None] = lambda _: None,
) -> Scenarios:
    """Runs a backtest on its market as it was, and on other orders of the market's bars.

    The same request, candles and seed yield the same.

    Args:
        candles: by symbol, at least the request's.
        request: what to run; without its `benchmark`, `detail_timeframe` and `funding`, as finer candles,
            rates and those of a benchmark are not reordered.
        runs: how many other histories.
        block_bars: length of the blocks; none: chosen from the returns of the first symbol, as the bootstrap
            of `robustness` does.
        seed: of the draws.
        timezone: what a `start` or `end` without a zone means.
        progress_callback: called with how many are done; what it raises stops and passes through.

    Raises:
        RequestInvalid: the symbols have unlike bars, there are too few, or too many runs are asked for.
        BacktestError: as `run_backtest`.
    """
    if not 1 <= runs <= MOST_RUNS:
        raise RequestInvalid([("runs", f"ask for 1 to {MOST_RUNS:,}, not {runs:,}")], heading=_HEADING)
    without = {"benchmark": None, "detail_timeframe": None, "funding": False}
    resolved = resolve(request.model_copy(update=without))
    bars = warmup_bars_of(resolved.request, resolved.strategy, resolved.params)
    seen = seen_candles(candles, resolved.request, bars, timezone)
    _require_alike(seen)
    length = block_bars or block_length(_returns(seen[0].traded))
    generator = np.random.default_rng(seed)
    actual = run_resolved(candles, resolved, timezone=timezone).metrics
    found: list[Metrics] = []
    for _ in range(runs):
        market = resampled_market(seen, length, generator)
        found.append(run_resolved(market, resolved, timezone=timezone).metrics)
        progress_callback(len(found))
    return Scenarios(runs, length, {name: _summary(name, actual[name], found) for name in SHOWN})


def _require_alike(seen: Sequence[SeenCandles]) -> None:
    moments = seen[0].traded.timestamp
    unlike = [own.candles.symbol for own in seen if not np.array_equal(own.traded.timestamp, moments)]
    if unlike:
        problem = f"bars of all symbols move together, and {', '.join(unlike[:5])} has others than the first"
        raise RequestInvalid([("symbols", problem)], heading=_HEADING)
    if len(moments) < FEWEST_BARS:
        problem = f"there are {len(moments):,} bars, and {FEWEST_BARS} are the fewest"
        raise RequestInvalid([("symbols", problem)], heading=_HEADING)


def _returns(candles: Candles) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    close = candles.close
    return np.asarray(close[1:] / close[:-1] - 1.0)


def _summary(name: str, actual: float | None, found: Sequence[Metrics]) -> MetricInScenarios:
    values = np.array([one[name] for one in found if one[name] is not None], dtype=np.float64)
    if not len(values):
        return MetricInScenarios(actual, None, None, None, None)
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95]).tolist()
    worse = None
    if actual is not None and METRICS[name].better != "neither":
        is_worse = values < actual if METRICS[name].better == "more" else values > actual
        worse = float(is_worse.mean())
    return MetricInScenarios(actual, low, median, high, worse)
