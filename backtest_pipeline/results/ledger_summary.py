"""The ledger at a glance: how often which strategy has been tried on which candles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from backtest_pipeline.results.ledger_table import SEPARATOR, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backtest_pipeline.results.ledger import Ledger

_COLUMNS = (SETTINGS, "at", "user", "symbols", "timeframe", "first", "last", "trials", "sharpe")


def ledger_summary(ledger: Ledger, strategies: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield a line for each strategy, set of symbols and timeframe, most trials first within a strategy.

    Each has `strategy`, `symbols`, `timeframe`, `trials` (the same settings and code counted once), `tasks`,
    `users`, `best_sharpe` (per bar), `first` and `last` (bars), `since` and `until` (ends of tasks).
    """
    for strategy in strategies:
        frame = ledger.table(strategy, _COLUMNS).to_pandas()
        groups = frame.groupby(["symbols", "timeframe"], observed=True)
        lines = [_line(strategy, str(symbols), str(timeframe), own) for (symbols, timeframe), own in groups]
        yield from sorted(lines, key=lambda line: -line["trials"])


def _line(strategy: str, symbols: str, timeframe: str, own: pd.DataFrame) -> dict[str, Any]:
    different = own.drop_duplicates(SETTINGS)
    best = own["sharpe"].max()
    return {
        "strategy": strategy,
        "symbols": symbols.split(SEPARATOR),
        "timeframe": timeframe,
        "trials": int(different["trials"].sum()),
        "tasks": len(own),
        "users": sorted({str(user) for user in own["user"]} - {""}),
        "best_sharpe": None if pd.isna(best) else float(best),
        **{name: own[of].min().isoformat() for name, of in (("first", "first"), ("since", "at"))},
        **{name: own[of].max().isoformat() for name, of in (("last", "last"), ("until", "at"))},
    }
