"""Runs trials: the same computation as a backtest of its own, with everything shared that can be."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.accounts import JointAccount, simulate_symbol
from backtest_pipeline.engine.inputs import holding_period_of, signals_of
from backtest_pipeline.engine.metrics.account_metrics import METRIC_NAMES, account_metrics
from backtest_pipeline.engine.metrics.curve_kernels import bar_returns
from backtest_pipeline.engine.records import joined, settings_of
from backtest_pipeline.engine.signal_study import study_signals
from backtest_pipeline.model.errors import BacktestError, RequestInvalid
from backtest_pipeline.model.span import zone_of
from backtest_pipeline.model.strategy import checked_params
from backtest_pipeline.research.market import (
    MARKET_FIELDS,
    CandlesByTimeframe,
    CandlesGiven,
    Market,
    market_of,
)
from backtest_pipeline.research.space import Points, Space
from backtest_pipeline.research.trial_requests import trial_request
from backtest_pipeline.research.trial_table import (
    BLOCKS,
    FAILED,
    INVALID,
    TrialChunk,
    blocks_table,
    by_symbol_table,
    trials_table,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.accounts import Curve
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import Metrics
    from backtest_pipeline.model.strategy import Strategy, StrategyParams
    from backtest_pipeline.model.sweep_request import SweepRequest

    Floats = NDArray[np.float64]

_CHUNK_BARS = 32_768


class TrialRunner:
    """Runs the trials of one sweep, in whatever order they are asked for.

    What a trial yields depends on the request and the candles alone.

    Attributes:
        request: the sweep.
        space: what varies.
        most_bars: of all symbols together, that a trial may see at most.

    Args:
        candles: by symbol, or by timeframe and symbol where several timeframes are asked for.
        request: the sweep, resolved.
        strategies: by name, an instance of each strategy that a trial may have.
        timezone: what a `start` or `end` without a zone means.

    Raises:
        RequestInvalid: there are no candles of some symbol that a trial needs, or no such time zone.
    """

    def __init__(
        self,
        candles: CandlesGiven,
        request: SweepRequest,
        strategies: Mapping[str, Strategy],
        *,
        timezone: str = "UTC",
    ) -> None:
        zone_of(timezone)
        self.request = request
        self.space = Space.of(request.space)
        self._strategies = strategies
        self._timezone = timezone
        self._candles = CandlesByTimeframe(candles)
        backtest = request.backtest
        choices = request.space.get("symbols", (backtest.symbols,))
        symbols = list(dict.fromkeys(symbol for one in choices for symbol in one))
        self._candles.check(symbols, request.space.get("timeframe", (backtest.timeframe,)))
        self.most_bars = self._candles.bars(symbols)
        self._several = max(len(one) for one in choices) > 1
        self._markets: dict[tuple[object, ...], Market] = {}

    def run(self, points: Points) -> TrialChunk:
        """Runs some trials.

        Args:
            points: which combinations, as the sweep's search chooses them.
        """
        rows = len(points)
        metrics = np.full((rows, len(METRIC_NAMES)), np.nan)
        counts = np.zeros((rows, BLOCKS), dtype=np.int32)
        sums, squares = np.zeros((2, rows, BLOCKS))
        errors: dict[int, tuple[str, str]] = {}
        owners: list[int] = []
        symbols: list[str] = []
        symbol_rows: list[Floats] = []
        for row in range(rows):
            try:
                request = trial_request(self.request, self.space.values(points, row))
                strategy = self._strategies[request.strategy]
                params = checked_params(strategy, request.params)
            except RequestInvalid as error:
                errors[row] = (INVALID, str(error))
                continue
            try:
                own, account, curve = self._run(request, strategy, params)
            except BacktestError as error:
                errors[row] = (FAILED, str(error))
                continue
            metrics[row] = account
            counts[row], sums[row], squares[row] = _blocks(curve)
            owners += [points.first + row] * len(own)
            symbols += request.symbols
            symbol_rows += own
        completed = np.ones(rows, dtype=np.bool_)
        completed[list(errors)] = False
        by_symbol = None
        if self._several:
            table = np.reshape(symbol_rows, (len(symbol_rows), len(METRIC_NAMES)))
            by_symbol = by_symbol_table(owners, symbols, table)
        return TrialChunk(
            trials_table(self.space, points, self.request.objective, metrics, completed, errors),
            by_symbol,
            blocks_table(points, completed, counts, sums, squares),
        )

    def _run(
        self, request: BacktestRequest, strategy: Strategy, params: StrategyParams
    ) -> tuple[list[Floats], Floats, Curve]:
        market = self._market(request)
        joint = JointAccount(market.candles)
        studies, trades, own_rows = [], [], []
        for candles, periods in zip(market.candles, market.periods_per_year, strict=True):
            signals = signals_of(strategy, params, candles, request.seed)
            holding_period = holding_period_of(strategy, params)
            study = study_signals(candles, signals, request.direction, holding_period)
            settings = settings_of(request, request.max_hold_bars or holding_period)
            cash = request.initial_cash / len(request.symbols)
            outcome, curve = simulate_symbol(candles, signals, settings, cash, _CHUNK_BARS, lambda _: None)
            joint.add(curve)
            studies.append(study)
            trades.append(outcome.trades)
            if len(market.candles) > 1:
                own, _, _ = account_metrics(
                    curve, periods, outcome.trades, study.timestamp, study.return_frac
                )
                own_rows.append(_row(own))
        curve = joint.curve()
        account, _, _ = account_metrics(
            curve,
            market.joint_periods_per_year,
            joined(trades),
            joined([study.timestamp for study in studies]),
            joined([study.return_frac for study in studies]),
        )
        row = _row(account)
        return own_rows or [row], row, curve

    def _market(self, request: BacktestRequest) -> Market:
        key = tuple(getattr(request, name) for name in MARKET_FIELDS)
        if key not in self._markets:
            self._markets[key] = market_of(self._candles.of(request.timeframe), request, self._timezone)
        return self._markets[key]


def _row(metrics: Metrics) -> Floats:
    return np.array([np.nan if value is None else value for value in metrics.values()], dtype=np.float64)


def _blocks(curve: Curve) -> tuple[NDArray[np.int64], Floats, Floats]:
    bars = len(curve.equity)
    returns = np.empty(bars)
    bar_returns(curve.equity, curve.initial_cash, curve.benchmark, curve.initial_benchmark, returns)
    edges = np.arange(BLOCKS + 1) * bars // BLOCKS
    parts = [returns[start:stop] for start, stop in pairwise(edges)]
    return np.diff(edges), np.array([p.sum() for p in parts]), np.array([(p * p).sum() for p in parts])
