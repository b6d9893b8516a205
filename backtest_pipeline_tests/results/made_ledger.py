"""Rows of a ledger, as tasks leave them, and a process that writes many."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backtest_pipeline.model.ledger_row import LedgerRow
from backtest_pipeline.results.ledger import Ledger
from backtest_pipeline.storage.layout import Layout

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
STRATEGY = "sma_cross"


def ledger_row(number: int, **changes: Any) -> LedgerRow:
    """A backtest of ACME, the settings and the task of which follow from its number."""
    facts: dict[str, Any] = {
        "at": NEW_YEAR + timedelta(minutes=number),
        "task_id": str(uuid.UUID(int=number)),
        "kind": "backtest",
        "user": "ann",
        "strategy": STRATEGY,
        "code_sha256": "c0de",
        "settings_sha256": f"{number:064x}",
        "symbols": ("ACME",),
        "timeframe": "1d",
        "first": NEW_YEAR - timedelta(days=3650),
        "last": NEW_YEAR,
        "trials": 1,
        "sharpe": 0.05,
        "skewness": 0.0,
        "kurtosis": 3.0,
        "bars": 2500,
        "rated": 1,
        "mean_sharpe": 0.05,
        "sharpe_variance": 0.0,
    }
    return LedgerRow(**facts | changes)


if __name__ == "__main__":
    own = Ledger(Layout(Path(sys.argv[1])))
    for count in range(int(sys.argv[2]), int(sys.argv[3])):
        own.append(ledger_row(count))
        print(count, flush=True)  # noqa: T201  the test reads what is safe
        if count % 20 == 0:
            own.compact(STRATEGY)
