"""Backtests that people submit, watch and trust.

The public names load their modules on first use, so that importing the package stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backtest_pipeline import former_paths

if TYPE_CHECKING:
    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.errors import BacktestError
    from backtest_pipeline.model.funding_rates import FundingRates
    from backtest_pipeline.model.panel import Panel
    from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy, Weights
    from backtest_pipeline.model.ranges import FloatRange, IntRange
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.status import TaskStatus
    from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.model.sweep_result import SweepResult
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
    from backtest_pipeline.model.walk_forward_result import WalkForwardResult
    from backtest_pipeline.sdk.client import BacktestClient
    from backtest_pipeline.strategies.registry import register
    from backtest_pipeline.workflows.run_backtest import run_backtest
    from backtest_pipeline.workflows.run_sweep import run_sweep
    from backtest_pipeline.workflows.run_walk_forward import run_walk_forward

__version__ = "0.2.0"

_HOMES = {
    "BacktestClient": "sdk.client",
    "BacktestError": "model.errors",
    "BacktestRequest": "model.request",
    "BacktestResult": "model.result",
    "CandleStore": "candles.store",
    "Candles": "model.candles",
    "FloatRange": "model.ranges",
    "FundingRates": "model.funding_rates",
    "IntRange": "model.ranges",
    "Signals": "model.strategy",
    "Panel": "model.panel",
    "PortfolioStrategy": "model.portfolio_strategy",
    "Weights": "model.portfolio_strategy",
    "Strategy": "model.strategy",
    "StrategyParams": "model.strategy",
    "SweepRequest": "model.sweep_request",
    "SweepResult": "model.sweep_result",
    "TaskStatus": "model.status",
    "WalkForwardRequest": "model.walk_forward_request",
    "WalkForwardResult": "model.walk_forward_result",
    "register": "strategies.registry",
    "run_backtest": "workflows.run_backtest",
    "run_sweep": "workflows.run_sweep",
    "run_walk_forward": "workflows.run_walk_forward",
}

__all__ = [
    "BacktestClient",
    "BacktestError",
    "BacktestRequest",
    "BacktestResult",
    "CandleStore",
    "Candles",
    "FloatRange",
    "FundingRates",
    "IntRange",
    "Panel",
    "PortfolioStrategy",
    "Signals",
    "Strategy",
    "StrategyParams",
    "SweepRequest",
    "SweepResult",
    "TaskStatus",
    "WalkForwardRequest",
    "WalkForwardResult",
    "Weights",
    "register",
    "run_backtest",
    "run_sweep",
    "run_walk_forward",
]

former_paths.install()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
