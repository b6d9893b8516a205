"""The orders of a shared account by vectorbt, in its own environment; prints one JSON object.

Run by `benchmark_portfolio.py` with the interpreter of the scratch environment: cash shared by all symbols,
sells before buys, filled at the open.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pandas as pd
from benchmark_candles import best_ms


def main() -> None:
    """Measures the orders in the file given."""
    given = np.load(sys.argv[1])
    index = pd.date_range("2015-01-01", periods=len(given["open"]), freq="D")
    frames = {name: pd.DataFrame(given[name], index=index) for name in ("open", "close", "size")}
    values = run(frames, given)
    taken = best_ms(lambda: run(frames, given))
    difference = float(np.abs(values / given["equity"] - 1.0).max())
    print(json.dumps({"vectorbt_ms": taken, "largest_difference": difference}))  # noqa: T201  the answer


def run(frames: dict[str, Any], given: Any) -> Any:
    """Simulation and the account's value, day by day."""
    import vectorbt as vbt  # noqa: PLC0415  in the scratch environment alone

    portfolio = vbt.Portfolio.from_orders(
        frames["close"],
        frames["size"],
        price=frames["open"],
        fees=float(given["fee"]),
        slippage=float(given["slip"]),
        init_cash=float(given["cash"]),
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
        freq="1D",
    )
    return portfolio.value().to_numpy()


if __name__ == "__main__":
    main()
