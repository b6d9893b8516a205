"""The same grid by vectorbt, in its own environment; prints one JSON object.

Run by `benchmark_sweep.py` with the interpreter of the scratch environment: crossings of two moving averages
over all pairs of windows at once, as its documentation does it, with return, Sharpe ratio and drawdown.
"""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any

import pandas as pd
from benchmark_candles import CASH, FEE_FRAC, best_cpu_ms, minutes

FASTS, SLOWS = (2, 51), (52, 131)


def grid_run(columns: dict[str, Any]) -> Any:
    """Indicators, simulation and three metrics of every pair; returns the total returns."""
    import vectorbt as vbt  # noqa: PLC0415  in the scratch environment alone

    index = pd.DatetimeIndex(columns["timestamp"])
    close = pd.Series(columns["close"], index=index)
    open_ = pd.Series(columns["open"], index=index)
    pairs = list(itertools.product(range(FASTS[0], FASTS[1] + 1), range(SLOWS[0], SLOWS[1] + 1)))
    fast = vbt.MA.run(close, [one for one, _ in pairs], short_name="fast")
    slow = vbt.MA.run(close, [other for _, other in pairs], short_name="slow")
    entries = fast.ma_crossed_above(slow).vbt.signals.fshift(1)
    exits = fast.ma_crossed_below(slow).vbt.signals.fshift(1)
    portfolio = vbt.Portfolio.from_signals(
        close, entries, exits, price=open_, fees=FEE_FRAC, init_cash=CASH, freq="1min"
    )
    portfolio.sharpe_ratio()
    portfolio.max_drawdown()
    return portfolio.total_return().to_numpy()


def main() -> None:
    """Measures the grid on the number of bars given."""
    columns = minutes(int(sys.argv[1]))
    returns = grid_run(columns)
    taken = best_cpu_ms(lambda: grid_run(columns))
    found = {"ms": taken, "fast": FASTS, "slow": SLOWS, "total_return": returns.tolist()}
    print(json.dumps(found))  # noqa: T201  the answer to the caller


if __name__ == "__main__":
    main()
