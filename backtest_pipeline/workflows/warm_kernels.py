"""Compiles the kernels ahead of time, so that no backtest ever waits for a compiler."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.strategies.registry import signal_strategies
from backtest_pipeline.workflows.run_backtest import run_backtest

_KERNELS = (
    "backtest_pipeline.engine.account_kernel",
    "backtest_pipeline.research.block_kernel",
    "backtest_pipeline.research.bootstrap",
    "backtest_pipeline.research.overfitting",
    "backtest_pipeline.research.trial_kernel",
)
"""Modules of kernels that no backtest of one symbol imports; an import compiles them."""
_BARS = 600
_BUILT_IN = "backtest_pipeline.strategies.builtin."


def warm_kernels() -> list[str]:
    """Runs every built-in strategy of signals on made-up candles, long and short, with every kind of stop.

    The kernels of sweeps and of statistics are compiled as well.

    An operator's own strategies are left alone: they may take long, or crash.

    The machine code is kept in Numba's cache beside the source (or in the user's cache folder where that
    cannot be written), so a second call only loads it.

    Returns:
        The strategies' names.
    """
    for module in _KERNELS:
        import_module(module)
    candles = {"WARM": made_up_candles()}
    known = signal_strategies().items()
    names = [name for name, strategy in known if strategy.__module__.startswith(_BUILT_IN)]
    for name in names:
        run_backtest(
            candles,
            BacktestRequest(
                strategy=name,
                symbols=["WARM"],
                direction="both",
                stop_loss_frac=0.05,
                take_profit_frac=0.1,
                trailing_stop_frac=0.05,
            ),
        )
    return names


def made_up_candles() -> Candles:
    """Candles that rise and fall in waves, with a surge of volume at every turn."""
    bar = np.arange(_BARS)
    close = 100 + 10 * np.sin(bar / 7)
    open_ = np.concatenate([close[:1], close[:-1]])
    return Candles.from_arrays(
        "WARM",
        "1d",
        {
            "timestamp": np.datetime64("2020-01-01", "us") + bar * np.timedelta64(1, "D"),
            "open": open_,
            "high": np.maximum(open_, close) + 0.5,
            "low": np.minimum(open_, close) - 0.5,
            "close": close,
            "volume": 1_000.0 + 500 * np.cos(bar / 7) ** 2,
        },
    )
