"""The same backtest by other engines, in their own environment; prints one JSON object.

Run by `benchmark_engine.py` with the interpreter of the scratch environment: a crossing of two moving
averages, long only, all cash, filled at the next open, a fee of a thousandth of a percent a side.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
from benchmark_candles import CASH, FAST, FEE_FRAC, SLOW, best_ms, minutes


def vectorbt_run(columns: dict[str, Any]) -> float:
    """Indicators, simulation and the account's value; returns the final value."""
    import vectorbt as vbt  # noqa: PLC0415  its import is part of what is measured

    index = pd.DatetimeIndex(columns["timestamp"])
    close = pd.Series(columns["close"], index=index)
    open_ = pd.Series(columns["open"], index=index)
    fast, slow = vbt.MA.run(close, FAST), vbt.MA.run(close, SLOW)
    entries = fast.ma_crossed_above(slow).vbt.signals.fshift(1)
    exits = fast.ma_crossed_below(slow).vbt.signals.fshift(1)
    portfolio = vbt.Portfolio.from_signals(
        close, entries, exits, price=open_, fees=FEE_FRAC, init_cash=CASH, freq="1min"
    )
    return float(portfolio.value().iloc[-1])


def backtesting_run(columns: dict[str, Any]) -> float:
    """The whole run with its statistics; returns the final equity (it trades whole units only)."""
    from backtesting import Backtest, Strategy  # noqa: PLC0415  its import is part of what is measured
    from backtesting.lib import crossover  # noqa: PLC0415  as above

    class Cross(Strategy):  # type: ignore[misc]  # this environment's packages have no types here
        def init(self) -> None:
            self.fast = self.I(lambda values: pd.Series(values).rolling(FAST).mean(), self.data.Close)
            self.slow = self.I(lambda values: pd.Series(values).rolling(SLOW).mean(), self.data.Close)

        def next(self) -> None:
            if crossover(self.fast, self.slow):
                self.buy()
            elif crossover(self.slow, self.fast):
                self.position.close()

    frame = pd.DataFrame(
        {name.capitalize(): columns[name] for name in ("open", "high", "low", "close", "volume")},
        index=pd.DatetimeIndex(columns["timestamp"]),
    )
    return float(Backtest(frame, Cross, cash=CASH, commission=FEE_FRAC).run()["Equity Final [$]"])


RUNS = {"vectorbt": vectorbt_run, "backtesting": backtesting_run}


def main() -> None:
    """Measures one rival on the numbers of bars given: `benchmark_rivals.py vectorbt 10000 100000`."""
    name, sizes = sys.argv[1], [int(size) for size in sys.argv[2:]]
    start = time.perf_counter()
    RUNS[name](minutes(1_000))
    found: dict[str, Any] = {"first_run_ms": (time.perf_counter() - start) * 1e3, "bars": {}}
    for bars in sizes:
        columns = minutes(bars)
        final = RUNS[name](columns)
        taken = best_ms(lambda columns=columns: RUNS[name](columns), least=2)  # type: ignore[misc]  # bound now
        found["bars"][str(bars)] = {"ms": taken, "final": final if np.isfinite(final) else None}
    print(json.dumps(found))  # noqa: T201  the answer to the caller


if __name__ == "__main__":
    main()
