"""The backtest of a plain job queue: same candles, same engine, same tables on disk, no Dagster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def run_plain(request: dict[str, Any], job_id: str) -> dict[str, str]:
    """Loads candles, runs the backtest and writes its tables; returns their checksums."""
    # Imported in the job, as a queue's worker knows nothing of it before; `warm` imports it beforehand.
    from backtest_pipeline import BacktestRequest, CandleStore, run_backtest  # noqa: PLC0415  as above
    from backtest_pipeline.results.task_store import TaskStore  # noqa: PLC0415  as above

    wanted = BacktestRequest.model_validate(request)
    root = Path(os.environ["DATA_ROOT"])
    candles = CandleStore(root).load(wanted.symbols, wanted.timeframe, wanted.start, wanted.end)
    result = run_backtest(candles, wanted)
    folder = root / "tasks" / job_id
    folder.mkdir(parents=True)
    return {file.name: file.sha256 for file in TaskStore(root).write_tables(folder, result)}


def warm() -> None:
    """Does the imports and loads the kernels, so that forked workers have them."""
    from backtest_pipeline.workflows.warm_kernels import warm_kernels  # noqa: PLC0415  only where wanted

    warm_kernels()
