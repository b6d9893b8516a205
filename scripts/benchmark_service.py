"""Measures the service beside a stock Dagster, RQ and Celery: latency, throughput, queue, memory.

Prints tables, writes the figures as JSON, and with --docs puts them into docs/performance.md, its graph and
docs/technology-choice.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import service_report
from celery_target import celery
from scratch_service import database_env, say, unwind_on_terminate
from service_measures import Target, TaskLost, latency, memory, percentile, throughput, wait
from service_targets import CANDLES, WORKERS, DagsterTarget, ours, rq, stock_dagster
from this_machine import this_machine

from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.candles.store import CandleStore

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "benchmark"
FULL = {"latency": 40, "throughput": 200, "queued": 1_000, "rival_latency": 8, "rival_throughput": 16}
QUICK = {"latency": 10, "throughput": 30, "queued": 100, "rival_latency": 3, "rival_throughput": 6}
STATUS_TASKS = 200
_REDIS = "redis-server"
# What else they need, the pipeline has.
RQ = ("rq==3.0.0", "redis==8.1.0", "croniter==7.0.0")
CELERY = (
    *("celery==5.7.0", "redis==8.1.0", "kombu==5.7.0", "billiard==4.3.2", "amqp==5.4.2", "vine==5.1.0"),
    *("tzlocal==5.4.5", "click-didyoumean==0.3.1", "click-plugins==1.1.1.2", "click-repl==0.4.1"),
    *("prompt-toolkit==3.0.53", "wcwidth==0.9.4"),
)


def main() -> None:
    """Measures everything that is asked for."""
    options = _options()
    unwind_on_terminate()
    counts = QUICK if options.quick else FULL
    figures: dict[str, Any] = {"machine": _machine(options.database), "ours": {}}
    with database_env(options.database) as database:
        say("this pipeline")
        with ours(database=database) as target:
            figures["ours"] = _measured(target, counts["latency"], counts["throughput"])
        say("its queue")
        with ours(database=database, most_runs=0) as target:
            figures["queue"] = _queue(target, counts["queued"])
        _keep(figures, options)  # whatever happens to the rivals
    if not options.without_rivals:
        figures["rivals"], figures["left_out"] = {}, {}
        _measure_rivals(figures, counts)
    _write(figures, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few backtests: some minutes, rough figures")
    parser.add_argument("--without-rivals", action="store_true", help="only this pipeline")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--postgres", dest="database", action="store_const", const="postgres")
    parser.add_argument("--out", type=Path, default=BUILD / "service.json", help="where the figures go")
    parser.add_argument("--docs", action="store_true", help="also rewrite the pages in docs/")
    return parser.parse_args()


def _measured(target: Target, backtests: int, many: int) -> dict[str, Any]:
    wait(target, [target.submit()])  # the first one pays for every lazy import of the servers
    found = {
        "memory": memory(target, 5),
        "latency": latency(target, backtests),
        "throughput": throughput(target, many),
    }
    say(f"  {found['latency']['completed_p50_s']:.2f} s, {found['throughput']['per_minute']:.0f} a minute")
    return found


def _queue(target: DagsterTarget, count: int) -> dict[str, Any]:
    """Submits into a queue from which nothing is taken; then asks for the status of many tasks at once."""
    client, request = target.scene.client, target.request
    started = time.perf_counter()
    tasks = [client.submit(request, reuse=False).task_id for _ in range(count)]
    one_by_one = count / (time.perf_counter() - started)
    started = time.perf_counter()
    tasks += [task.task_id for task in client.submit_many([request] * count)]
    many = count / (time.perf_counter() - started)
    asked = tasks[-STATUS_TASKS:]
    taken_ms = []
    for _ in range(20):
        started = time.perf_counter()
        statuses = client.statuses(asked)
        taken_ms.append(1_000 * (time.perf_counter() - started))
        if {status.state for status in statuses} != {"queued"}:
            raise TaskLost("a task left a queue from which nothing is taken")
    return {
        "tasks": len(tasks),
        "submitted_per_s": one_by_one,
        "submit_many_per_s": many,
        "status_of": len(asked),
        "status_p50_ms": percentile(taken_ms, 50),
        "status_p95_ms": percentile(taken_ms, 95),
    }


def _measure_rivals(figures: dict[str, Any], counts: dict[str, int]) -> None:
    few, some = counts["rival_latency"], counts["rival_throughput"]
    found, left_out = figures["rivals"], figures["left_out"]
    for name, executor in (
        ("Dagster, in-process executor", "in_process"),
        ("Dagster, default executor", "multiprocess"),
    ):
        say(name)
        with stock_dagster(executor) as target:
            found[name] = _measured(target, few, some)
    if shutil.which(_REDIS) is None:
        left_out["RQ, Celery"] = f"there is no {_REDIS}; on Debian: sudo apt-get install {_REDIS}"
        say(f"RQ and Celery are left out: {left_out['RQ, Celery']}")
        return
    queues: tuple[tuple[str, Callable[[Path], AbstractContextManager[Target]]], ...] = (
        ("RQ", partial(rq, _packages("rq", RQ), warm=False)),
        ("RQ, imports done before", partial(rq, _packages("rq", RQ), warm=True)),
        ("Celery", partial(celery, _packages("celery", CELERY), fresh=False)),
        ("Celery, a fresh process each", partial(celery, _packages("celery", CELERY), fresh=True)),
    )
    for name, queue in queues:
        say(name)
        with tempfile.TemporaryDirectory(prefix="backtest-queue-") as data_root:
            import_demo(CandleStore(data_root))
            with queue(Path(data_root)) as target:
                found[name] = _measured(target, counts["latency"], counts["throughput"])


def _packages(name: str, wanted: Sequence[str]) -> Path:
    """A folder with packages that are no dependency of the pipeline."""
    packages = BUILD / f"{name}-packages"
    if not packages.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", str(packages), *wanted], check=True)  # noqa: S603  our own
    return packages


def _machine(database: str) -> dict[str, Any]:
    return {
        **this_machine(),
        "dagster": version("dagster"),
        "rq": RQ[0].partition("==")[2],
        "celery": CELERY[0].partition("==")[2],
        "database": database,
        "candles": CANDLES,
        "workers": WORKERS,
    }


def _keep(figures: dict[str, Any], options: argparse.Namespace) -> None:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")


def _write(figures: dict[str, Any], options: argparse.Namespace) -> None:
    say(service_report.tables(figures))
    _keep(figures, options)
    say(f"written to {options.out}")
    if options.docs:
        service_report.write_docs(figures, ROOT / "docs")
        say("the pages in docs/ are up to date")


if __name__ == "__main__":
    main()
