"""Measures accounts that many symbols share, beside vectorbt's shared cash on the same orders.

Writes the figures as JSON and prints them.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_candles import best_ms, exponent_of, walks
from benchmark_engine import output, say, scratch_python

from backtest_pipeline import BacktestRequest, BacktestResult, Candles, run_backtest

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "build" / "benchmark" / "portfolio.json"
CASH, FEE_BPS, SLIPPAGE_BPS = 1_000_000.0, 10.0, 5.0
ROTATION = {"strategy": "momentum_rotation", "params": {"top": 50, "rebalance": "monthly"}}
CROSSINGS = {
    "strategy": "sma_cross",
    "params": {"fast": 50, "slow": 200},
    "max_positions": 10,
    "sizing": "slots",
    "stop_loss_frac": 0.01,
}


def main() -> None:
    """Measures everything that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer symbols and bars, rough figures")
    parser.add_argument("--without-rivals", action="store_true", help="only this pipeline")
    options = parser.parse_args()
    symbols, days, minutes = (100, 1_000, 50_000) if options.quick else (500, 2_500, 500_000)
    found: dict[str, Any] = {"rotation": rotation(symbols, days, rival=not options.without_rivals)}
    say(f"rotation of {symbols} symbols over {days:,} days: {found['rotation']}")
    found["crossings"] = crossings(50, minutes)
    say(f"crossings of 50 symbols over {minutes:,} minutes: {found['crossings']}")
    found["growth"] = growth(quick=options.quick)
    say(f"growth, exponents: {found['growth']}")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1), encoding="utf-8")
    say(f"written to {OUT}")


def rotation(symbols: int, days: int, *, rival: bool) -> dict[str, Any]:
    """A monthly rotation, from the candles to the result with all metrics."""
    candles = made(symbols, days, "1d")
    request = asked(candles, "1d", **ROTATION)
    found: dict[str, Any] = {"ms": best_ms(lambda: run_backtest(candles, request))}
    if rival:
        found |= _rival(candles, run_backtest(candles, request))
        found["ratio"] = found["vectorbt_ms"] / found["ms"]
    return found


def _rival(candles: dict[str, Candles], result: BacktestResult) -> dict[str, Any]:
    """Time of vectorbt for the same orders, and by how much its values differ from ours at most."""
    sizes = _orders(candles, result)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "orders.npz"
        opens, closes = (
            np.array([getattr(own, name) for own in candles.values()]).T for name in ("open", "close")
        )
        np.savez(
            file,
            size=sizes,
            open=opens,
            close=closes,
            equity=result.equity["equity"].to_numpy(),
            fee=FEE_BPS / 1e4,
            slip=SLIPPAGE_BPS / 1e4,
            cash=CASH,
        )
        script = str(HERE / "benchmark_portfolio_rival.py")
        answer: dict[str, Any] = json.loads(output([scratch_python(), script, str(file)]).splitlines()[-1])
    return answer


def _orders(candles: dict[str, Candles], result: BacktestResult) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Signed quantities ordered, shape (bars, symbols), NaN for none."""
    symbols = {symbol: place for place, symbol in enumerate(candles)}
    stamps = next(iter(candles.values())).timestamp
    sizes = np.full((len(stamps), len(symbols)), np.nan)
    positions = result.positions
    if positions is None:
        raise RuntimeError("a shared account has positions")
    held = np.zeros(len(symbols))
    moments = positions["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    rows = np.searchsorted(stamps, moments)
    for row, symbol, quantity in zip(rows, positions["symbol"], positions["quantity"], strict=True):
        place = symbols[symbol]
        sizes[row, place] = np.nan_to_num(sizes[row, place]) + quantity - held[place]
        held[place] = quantity
    return sizes


def crossings(symbols: int, minutes: int) -> dict[str, Any]:
    """Entries by signals of many symbols that compete for ten slots."""
    candles = made(symbols, minutes, "1m")
    request = asked(candles, "1m", **CROSSINGS)
    taken = best_ms(lambda: run_backtest(candles, request), seconds=1.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"s": taken / 1e3, "peak_gb": peak / 1e9, "trades": len(run_backtest(candles, request).trades)}


def growth(*, quick: bool) -> dict[str, float]:
    """How the time grows with symbols and with moments: exponents of the power laws."""
    by_symbols, by_moments = {}, {}
    for symbols in (50, 100) if quick else (50, 100, 200, 400):
        candles = made(symbols, 1_000, "1d")
        request = asked(candles, "1d", **ROTATION)
        by_symbols[symbols] = best_ms(lambda c=candles, r=request: run_backtest(c, r))  # type: ignore[misc]  # bound now
    for moments in (10_000, 30_000) if quick else (10_000, 30_000, 100_000, 300_000):
        candles = made(10, moments, "1m")
        request = asked(candles, "1m", **CROSSINGS)
        by_moments[moments] = best_ms(lambda c=candles, r=request: run_backtest(c, r))  # type: ignore[misc]  # bound now
    return {"symbols": exponent_of(by_symbols), "moments": exponent_of(by_moments)}


def made(symbols: int, bars: int, timeframe: str) -> dict[str, Candles]:
    """Random walks, the same every time."""
    columns = walks(symbols, bars, 86_400 if timeframe == "1d" else 60)
    return {
        symbol: Candles.from_arrays(symbol, timeframe, own)  # type: ignore[arg-type]  # one of ours
        for symbol, own in columns.items()
    }


def asked(candles: dict[str, Candles], timeframe: str, **fields: Any) -> BacktestRequest:
    """A request for one account over all symbols."""
    return BacktestRequest(
        symbols=list(candles),
        timeframe=timeframe,
        account="shared",
        initial_cash=CASH,
        fee_bps=FEE_BPS,
        slippage_bps=SLIPPAGE_BPS,
        **fields,
    )


if __name__ == "__main__":
    main()
