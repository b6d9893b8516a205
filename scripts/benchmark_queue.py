"""Fills the queue of a pipeline whose workers are away, looks at it, and cancels; on PostgreSQL and Redis.

Nothing runs meanwhile: a worker's slots are what lets runs leave Dagster's queue, and there is none.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scratch_service import ScratchService, say, scratch_service, table, unwind_on_terminate
from service_measures import percentile
from this_machine import this_machine
from worker_service import WorkerService, broker_env

from backtest_pipeline import BacktestRequest

ROOT = Path(__file__).resolve().parents[1]
BATCH = 500
_COUNT = """
query Counts { queued: runsOrError(filter: {statuses: [QUEUED]}) { ... on Runs { count } } }
"""


class _NoWorkers(WorkerService):
    workers = 0


def main() -> None:
    """Measures, prints, and keeps the figures."""
    options = _options()
    figures = this_machine()
    unwind_on_terminate()
    sys.path.insert(0, str(ROOT))
    with (
        broker_env(wanted=True) as database,
        scratch_service(env={"PYTHONPATH": str(ROOT)}, database=database, service=_NoWorkers) as scene,
    ):
        figures |= _measured(scene, options)
    say(
        table(
            [
                (name, f"{value:,.1f}" if isinstance(value, float) else str(value))
                for name, value in figures.items()
            ]
        )
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--asked", type=int, default=100, help="how often each question is asked")
    parser.add_argument(
        "--within-s", type=float, default=1_800.0, help="fewer are submitted where it takes longer"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "benchmark" / "queue.json")
    return parser.parse_args()


def _measured(scene: ScratchService, options: argparse.Namespace) -> dict[str, Any]:
    request = BacktestRequest(strategy="sma_cross", params={"fast": 10, "slow": 30}, symbols=["IBM"])
    tasks: list[str] = []
    batches_ms: list[float] = []
    started_s = time.perf_counter()
    while len(tasks) < options.queued and time.perf_counter() - started_s < options.within_s:
        batch = [request.model_copy(update={"labels": {"number": str(len(tasks) + n)}}) for n in range(BATCH)]
        began_s = time.perf_counter()
        tasks += [task.task_id for task in scene.client.submit_many(batch)]
        batches_ms.append(1_000 * (time.perf_counter() - began_s))
    took_s = time.perf_counter() - started_s
    in_queue = scene.ask(_COUNT)["queued"]["count"]
    spread = tasks[:: max(1, len(tasks) // options.asked)][: options.asked]
    one = request.model_copy(update={"labels": {"number": "one"}})
    return {
        "queued": in_queue,
        "asked for": options.queued,
        "submitted a second": len(tasks) / took_s,
        f"batch of {BATCH} p95 ms": percentile(batches_ms, 95),
        "batch p95 ms, last tenth": percentile(batches_ms[-max(2, len(batches_ms) // 10) :], 95),
        "one submission p95 ms": _p95_ms(lambda _: scene.client.submit(one, reuse=False), spread),
        "list of 100 p95 ms": _p95_ms(lambda _: scene.client.list_tasks(limit=100), spread),
        "list of 100 by state p95 ms": _p95_ms(
            lambda _: scene.client.list_tasks(state="queued", limit=100), spread
        ),
        "status p95 ms": _p95_ms(scene.client.status, spread),
        "cancel p95 ms": _p95_ms(scene.client.cancel, spread),
    }


def _p95_ms(ask: Callable[[str], object], tasks: list[str]) -> float:
    took_ms = []
    for task_id in tasks:
        began_s = time.perf_counter()
        ask(task_id)
        took_ms.append(1_000 * (time.perf_counter() - began_s))
    return percentile(took_ms, 95)


if __name__ == "__main__":
    main()
