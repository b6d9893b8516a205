"""Measures workers behind a broker: how soon a backtest has run, beside the local way, and how chunks scale.

Both ways run side by side, each on a PostgreSQL of its own, and take turns; every ratio is of two figures of
the same run.
Redis and PostgreSQL are started for the while. Prints tables and writes the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from scratch_service import database_env, say, table, unwind_on_terminate
from service_measures import percentile
from this_machine import this_machine

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from backtest_pipeline import BacktestClient, BacktestRequest, IntRange, SweepRequest  # noqa: E402
from backtest_pipeline.candles.demo import import_demo  # noqa: E402
from backtest_pipeline.candles.store import CandleStore  # noqa: E402
from backtest_pipeline.compute.broker import CHUNK_TASK, CHUNKS, client_of, queue_name  # noqa: E402
from backtest_pipeline.compute.broker_calls import BrokerCalls, outcome_key  # noqa: E402
from backtest_pipeline.orchestration.processes.pool_process import PoolProcess  # noqa: E402
from backtest_pipeline.orchestration.processes.worker_pools import READY, app_of, serve  # noqa: E402
from backtest_pipeline.sdk.transport import GraphQL  # noqa: E402
from backtest_pipeline_tests.acceptance.machines import Machines, running_machines  # noqa: E402
from backtest_pipeline_tests.acceptance.redis_server import redis_server  # noqa: E402

BUILD = ROOT / "build" / "benchmark"
CHUNK_S = 1.0
"""So long a chunk waits; one of a sweep takes about a second as well."""
_PATIENCE_S = 1_200
_STEPS = """
query Steps($id: ID!) {
  runOrError(runId: $id) { ... on Run { stepStats { stepKey startTime endTime } } }
}
"""


def main() -> None:
    """Measures what is asked for."""
    options = _options()
    unwind_on_terminate()
    figures: dict[str, Any] = {"machine": this_machine()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backtest-cluster-")))
        import_demo(CandleStore(folder / "data"))
        if "latency" in options.parts:
            figures["latency"] = _latency(folder, 10 if options.quick else 40)
            _say_latency(figures["latency"])
        if "waiting" in options.parts:
            slots = [4, 16] if options.quick else [4, 16, 64]
            figures["waiting"] = [_waiting(folder, count, 4.0 if options.quick else 20.0) for count in slots]
            _say_scaling("chunks that wait", figures["waiting"])
        if "real" in options.parts:
            figures["real"] = _real(folder, 60_000 if options.quick else 200_000)
            _say_real(figures["real"])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    say(f"written to {options.out}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rough figures")
    parser.add_argument("--parts", default="latency,waiting,real", type=lambda text: text.split(","))
    parser.add_argument("--out", type=Path, default=BUILD / "cluster.json", help="where the figures go")
    return parser.parse_args()


def _latency(folder: Path, count: int) -> dict[str, Any]:
    """From submission to the first op and to the end, by Dagster's own record, the two ways in turns."""
    request = BacktestRequest(
        strategy="sma_cross", params={"fast": 10, "slow": 30}, symbols=["IBM"], end="2004-01-01"
    )
    found: dict[str, list[tuple[float, float]]] = {"local": [], "workers": []}
    with ExitStack() as stack:
        ways = {}
        for name in found:
            place = folder / f"latency-{name}"
            place.mkdir()
            machines = stack.enter_context(_machines(place, folder / "data", local=name == "local"))
            if name == "workers":
                machines.add()
            ways[name] = machines
        for number in range(count + 3):
            for name, machines in ways.items():
                took = _one(machines.client, request)
                if number >= 3:  # the first ones pay for lazy imports
                    found[name].append(took)
    return {
        name: {
            "started_p50_s": percentile([one[0] for one in took], 50),
            "ended_p50_s": percentile([one[1] for one in took], 50),
            "ended_p95_s": percentile([one[1] for one in took], 95),
        }
        for name, took in found.items()
    }


def _one(client: BacktestClient, request: BacktestRequest) -> tuple[float, float]:
    asked_s = time.time()
    status = client.wait(client.submit(request, reuse=False).task_id, timeout_s=_PATIENCE_S)
    assert status.state == "completed", status  # noqa: S101  else there is nothing to measure
    assert status.started_at is not None  # noqa: S101  as above
    assert status.finished_at is not None  # noqa: S101  as above
    return status.started_at.timestamp() - asked_s, status.finished_at.timestamp() - asked_s


def _say_latency(found: dict[str, Any]) -> None:
    local, workers = found["local"], found["workers"]
    rows = [
        (f"{name}, {what}", f"{1_000 * own[what]:.0f} ms")
        for name, own in found.items()
        for what in ("started_p50_s", "ended_p50_s", "ended_p95_s")
    ]
    rows += [
        (f"workers ÷ local, {what}", f"{workers[what] / local[what]:.2f}")
        for what in ("started_p50_s", "ended_p50_s", "ended_p95_s")
    ]
    say(table(rows))


class _Waits(PoolProcess):
    """A process of a pool of chunks that waits for as long as a message says, and computes nothing."""

    def prepare(self) -> None:
        self._broker = client_of(self.url)

    def is_behind(self, *, look: bool) -> bool:  # noqa: ARG002  of the parent
        return False

    def chunk(self, call_id: str, message: dict[str, Any]) -> None:
        self._broker.set(outcome_key(call_id), json.dumps({"worker": self.worker}))
        time.sleep(message["seconds"])
        self._broker.set(outcome_key(call_id), json.dumps({"worker": self.worker, "outcome": {}}))


class _WaitForm:
    """The message that it understands."""

    def message(self, _: Callable[..., object], arguments: tuple[Any, ...]) -> dict[str, Any]:
        return {"seconds": arguments[0]}

    def outcome(self, _: Mapping[str, Any]) -> None:
        return None


class _NobodyDies:
    def is_lost(self, _: str) -> bool:
        return False


def _waiting(folder: Path, slots: int, lasts_s: float) -> dict[str, Any]:
    """Chunks that wait instead of compute, through Redis and Celery's pool: what handing them out costs."""
    place = folder / f"waiting-{slots}"
    place.mkdir()
    chunks = int(slots * lasts_s / CHUNK_S)
    with redis_server() as redis:
        process = _Waits("waits", redis.url, place)
        pid = os.fork()
        if pid == 0:
            serve(CHUNKS, process, slots, 86_400)
        try:
            _wait_for(place / f"{READY}-{CHUNKS}")
            app = app_of(_Waits("asks", redis.url, place), 86_400)

            def send(call_id: str, message: dict[str, Any]) -> None:
                app.send_task(CHUNK_TASK, args=[message], task_id=call_id, queue=queue_name(CHUNKS))

            with BrokerCalls(send, redis.client, _WaitForm(), _NobodyDies()) as calls:
                for one in [calls.submit(time.sleep, 0.0) for _ in range(2 * slots)]:
                    one.result(60)  # everybody is there
                began_s = time.perf_counter()
                waiting = iter([CHUNK_S] * chunks)
                running = {calls.submit(time.sleep, next(waiting)) for _ in range(min(2 * slots, chunks))}
                while (
                    running
                ):  # as a sweep has no more than twice as many chunks under way as there are slots
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    running |= {calls.submit(time.sleep, one) for _, one in zip(done, waiting, strict=False)}
                took_s = time.perf_counter() - began_s
        finally:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
    ideal_s = chunks * CHUNK_S / slots
    return {"slots": slots, "chunks": chunks, "took_s": took_s, "ideal_s": ideal_s, "share": ideal_s / took_s}


def _wait_for(path: Path) -> None:
    deadline_s = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > deadline_s:
            raise TimeoutError(path)
        time.sleep(0.05)


def _real(folder: Path, trials: int) -> list[dict[str, Any]]:
    """The same sweep of real trials by one process and by two."""
    request = SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["AAPL"]),
        space={"params.fast": IntRange(2, 200), "params.slow": IntRange(201, 600)},
        search="random",
        trials=trials,
        keep_best=1,
    )
    found = []
    for processes in (1, 2):
        own = request.model_copy(update={"seed": processes})  # else the chunks of the first would do
        place = folder / f"real-{processes}"
        place.mkdir()
        with _machines(place, folder / "data") as machines:
            machines.add("--concurrency", str(processes))
            _trials_took(machines, own.model_copy(update={"trials": 2_000}))  # candles and kernels
            found.append({"processes": processes, "trials": trials, "took_s": _trials_took(machines, own)})
    return found


def _say_scaling(what: str, found: list[dict[str, Any]]) -> None:
    rows = [
        (
            f"{what}, {own['slots']} slots",
            f"{own['took_s']:.1f} s, ideal {own['ideal_s']:.1f} s: {100 * own['share']:.0f} %",
        )
        for own in found
    ]
    say(table(rows))


def _say_real(found: list[dict[str, Any]]) -> None:
    one, two = (own["took_s"] for own in found)
    say(f"real chunks: {one:.1f} s by one process, {two:.1f} s by two: {one / two:.2f} times as fast")


def _trials_took(machines: Machines, request: SweepRequest) -> float:
    """Seconds of the op that runs the trials, by Dagster's own record."""
    task_id = machines.client.submit(request, reuse=False).task_id
    ended = machines.client.wait(task_id, timeout_s=_PATIENCE_S)
    assert ended.state == "completed", ended  # noqa: S101  else there is nothing to measure
    with closing(GraphQL(machines.service.url)) as graphql:
        steps = graphql.ask(_STEPS, {"id": task_id})["runOrError"]["stepStats"]
    [step] = [one for one in steps if one["stepKey"] == "run_trials"]
    return float(step["endTime"] - step["startTime"])


@contextmanager
def _machines(folder: Path, data_root: Path, *, local: bool = False) -> Iterator[Machines]:
    """A service on a PostgreSQL of its own, with a broker unless it is to do everything itself."""
    with database_env("postgres") as database, redis_server() as redis:
        usual = {"BACKTEST_BROKER_URL": ""} if local else {}
        with running_machines(folder, data_root, redis, {**database}, further=usual) as machines:
            yield machines


if __name__ == "__main__":
    main()
