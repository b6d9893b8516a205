"""The job of an RQ worker: the same candles, the same engine, the same tables on disk, without Dagster."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(os.environ["RQ_PACKAGES"])


def run(request: dict[str, Any]) -> dict[str, str]:
    """Loads candles, runs the backtest and writes its tables; returns their checksums."""
    # Imported in the job, as RQ's worker knows nothing of it before; `--warm` below imports it beforehand.
    from rq import get_current_job  # noqa: PLC0415  as above

    from backtest_pipeline import BacktestRequest, CandleStore, run_backtest  # noqa: PLC0415  as above
    from backtest_pipeline.storage.task_store import TaskStore  # noqa: PLC0415  as above

    wanted = BacktestRequest.model_validate(request)
    root = Path(os.environ["DATA_ROOT"])
    candles = CandleStore(root).load(wanted.symbols, wanted.timeframe, wanted.start, wanted.end)
    result = run_backtest(candles, wanted)
    folder = root / "tasks" / get_current_job().id
    folder.mkdir(parents=True)
    return {file.name: file.sha256 for file in TaskStore(root).write_tables(folder, result)}


def work(*, warm: bool) -> None:
    """Runs an RQ worker, which forks a process for each job."""
    from redis import Redis  # noqa: PLC0415  known once the path above is
    from rq import Worker  # noqa: PLC0415  as above

    if warm:
        from backtest_pipeline.warm import warm_kernels  # noqa: PLC0415  only where wanted

        warm_kernels()
    Worker(["default"], connection=Redis.from_url(os.environ["RQ_REDIS"])).work(logging_level="WARNING")


if __name__ == "__main__":
    work(warm="--warm" in sys.argv)
