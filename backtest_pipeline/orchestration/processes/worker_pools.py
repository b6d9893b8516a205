"""One generation of a worker: Celery's workers for runs and for chunks, forked from one warm process.

`python -m backtest_pipeline.orchestration.processes.worker_pools`, started by `worker_keeper`. It imports
everything and rehearses a backtest, as the code server's fork server does, forks Celery's workers while it
has one thread, and then watches the code on disk. SIGTERM lets it finish what it is at.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from backtest_pipeline.compute.broker import (
    CHUNK_TASK,
    CHUNKS,
    QUEUES,
    RUN_TASK,
    RUNS,
    celery_settings,
    queue_name,
)
from backtest_pipeline.compute.forked_worker import end_with_parent
from backtest_pipeline.quick_imports import quick_imports
from backtest_pipeline.settings import get_settings

if TYPE_CHECKING:
    from celery import Celery

    from backtest_pipeline.orchestration.processes.pool_process import PoolProcess

READY, ALIVE = "ready", "alive"
"""Files in the folder of a generation, with the name of a queue: its pool takes work; its pool moves."""
UNUSABLE = "unusable"
"""File there: the code on disk does not load, so the generation goes on with what it has."""
LOOK_AT_CODE_EVERY_S = 1.0
REPLACE_EVERY_S = 0.05
_CHUNKS_NICENESS = 5
_logger = logging.getLogger("backtest.worker")


def main() -> None:
    """Fork the pools and look after the code until told to stop."""
    options = _options()
    end_with_parent(options.keeper)
    settings = get_settings()
    url, visibility_timeout_s = sys.stdin.read(), settings.broker_visibility_timeout_s
    with quick_imports():
        from backtest_pipeline.orchestration.processes import worker_preload  # noqa: PLC0415  all there is
        from backtest_pipeline.orchestration.processes.pool_process import (  # noqa: PLC0415  as above
            PoolProcess,
        )
        from backtest_pipeline.orchestration.tasks.log_lines import (  # noqa: PLC0415  as above
            lines_about,
            log_to_stderr,
        )
    log_to_stderr(settings)
    if worker_preload.THREADS_AFTER_LOADING != 1:
        _logger.warning(
            "the strategies have started %d threads at their import: processes forked from this one may hang",
            worker_preload.THREADS_AFTER_LOADING - 1,
        )
    process = PoolProcess(options.worker, url, options.folder)
    lines_about({"worker": options.worker}).__enter__()  # for good
    pools, own_pid = {}, os.getpid()
    for queue in options.queues.split(","):
        pid = os.fork()
        if pid == 0:
            end_with_parent(own_pid)
            serve(queue, process, options.concurrency, visibility_timeout_s)
        pools[pid] = queue
    sys.exit(_attend(pools, options.folder))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", required=True, help="name of the worker")
    parser.add_argument("--keeper", type=int, required=True, help="process that it ends with")
    parser.add_argument("--folder", type=Path, required=True, help="the generation's own")
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--queues", default=",".join(QUEUES))
    return parser.parse_args()


def serve(queue: str, process: PoolProcess, concurrency: int, visibility_timeout_s: int) -> NoReturn:
    """Be Celery's worker of one queue.

    Args:
        queue: which.
        process: what its pool is forked from.
        concurrency: how many processes the pool has.
        visibility_timeout_s: as of `celery_settings`.
    """
    status = 1
    try:
        if queue == CHUNKS:
            os.nice(_CHUNKS_NICENESS)  # a backtest that somebody waits for goes before a sweep
        process.forked_from = os.getpid()
        app = app_of(process, visibility_timeout_s)
        _connect_signals(queue, process)
        gc.freeze()  # Celery collects garbage before each fork, which takes as long as there are objects
        worker: Any = app.Worker(
            hostname=f"{queue}@{process.worker}",
            queues=[queue_name(queue)],
            concurrency=concurrency,
            pool="prefork",
            max_tasks_per_child=1 if queue == RUNS else None,
            loglevel="WARNING",
            optimization="fair",
            without_gossip=True,
            without_mingle=True,
            task_events=True,
            quiet=True,
        )
        worker.start()
        status = worker.exitcode or 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0
    except BaseException:
        _logger.exception("the pool of %s has failed", queue)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def app_of(process: PoolProcess, visibility_timeout_s: int) -> Celery:
    """A Celery app with the two tasks that there are."""
    from celery import Celery  # noqa: PLC0415  an extra
    from celery.exceptions import Reject  # noqa: PLC0415  as above

    app = Celery("backtest", broker=process.url, set_as_current=False)
    app.conf.update(celery_settings(visibility_timeout_s))
    process.app = app

    def refuse_when_behind(*, look: bool) -> None:
        if process.is_behind(look=look):
            process.pause()
            raise Reject("newer code is about to be loaded", requeue=True)

    @app.task(bind=True, name=RUN_TASK, reject_on_worker_lost=False, shared=False)  # type: ignore[untyped-decorator]  # Celery ships no types
    def execute_job(task: Any, run_id: str) -> None:
        refuse_when_behind(look=True)
        process.run(run_id, task.request.id)

    @app.task(bind=True, name=CHUNK_TASK, shared=False)  # type: ignore[untyped-decorator]  # as above
    def make_chunk(task: Any, message: dict[str, Any]) -> None:
        refuse_when_behind(look=False)  # a chunk has the code of its run, or is refused
        try:
            process.chunk(task.request.id, message)
        except Exception as error:
            _logger.warning("a chunk of run %s goes back into the queue: %r", message.get("run"), error)
            process.pause()  # the database or the broker is away: the caller has heard nothing
            raise Reject(repr(error), requeue=True) from error

    return app


def _connect_signals(queue: str, process: PoolProcess) -> None:
    from celery import signals  # noqa: PLC0415  as above
    from celery.concurrency.prefork import TaskPool  # noqa: PLC0415  as above

    from backtest_pipeline.orchestration.dagster_internals.compat import uses  # noqa: PLC0415  as above

    uses(TaskPool, "maintain_pool", within=TaskPool.on_start)

    def prepare(**_: Any) -> None:
        process.prepare()

    def is_ready(sender: Any, **_: Any) -> None:
        alive = process.folder / f"{ALIVE}-{queue}"
        sender.timer.call_repeatedly(1.0, alive.touch)
        # Celery looks as soon as a process closes its files, which is before it has ended, and then in 5 s.
        sender.timer.call_repeatedly(REPLACE_EVERY_S, sender.pool.maintain_pool)
        (process.folder / f"{READY}-{queue}").touch()

    def leave_logging(**_: Any) -> None:
        """Connected, it keeps Celery from setting up logging of its own."""

    signals.worker_process_init.connect(prepare, weak=False)
    signals.worker_ready.connect(is_ready, weak=False)
    signals.setup_logging.connect(leave_logging, weak=False)


def _attend(pools: dict[int, str], folder: Path) -> int:
    """Watch code and pools; returns the status to end with, once all pools have ended."""
    from backtest_pipeline.orchestration.dagster_internals.code_reload import CodeOnDisk  # noqa: PLC0415  see `main`
    from backtest_pipeline.orchestration.processes.pool_process import BEHIND, GIVEN_UP  # noqa: PLC0415  as above

    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        _signal_all(list(pools), signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the keeper decides what Ctrl-C means
    code = CodeOnDisk()
    behind, unusable, status = folder / BEHIND, folder / UNUSABLE, 0
    while pools:
        time.sleep(LOOK_AT_CODE_EVERY_S)
        for pid in list(pools):
            done, how = os.waitpid(pid, os.WNOHANG)
            if done:
                queue = pools.pop(pid)
                if not stopping:
                    _logger.error("the pool of %s has ended: %d", queue, os.waitstatus_to_exitcode(how))
                    status = 1
                    stop()
        if unusable.exists():
            code.has_settled()
            (folder / GIVEN_UP).write_text(json.dumps(code.could_not_be_loaded()))
            behind.unlink(missing_ok=True)
            unusable.unlink()
        elif not stopping and not behind.exists() and code.has_settled():
            behind.touch()
    return status


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


if __name__ == "__main__":
    main()
