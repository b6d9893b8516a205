"""Submits backtests, kills the pipeline's processes at random points, restarts them, and judges what is left.

The plan (what is asked, what is killed, how long it stays dead) follows from --seed; what exactly a kill hits
depends on the machine's timing. The exit status is 1 when a task was lost or anything else is not true.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import proc
from chaos_verdict import all_runs, problems
from scratch_service import ScratchService, say, scratch_service, table, unwind_on_terminate
from worker_service import WorkerService, broker_env

from backtest_pipeline import BacktestRequest
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.model.errors import ServiceError

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 2  # max_concurrent_runs of dagster.yaml
VICTIMS = {"worker": 8, "standing": 4, "code": 2, "daemon": 2, "web": 1, "forkserver": 1}
OF_MACHINES = {"run": 8, "machine": 2, "code": 1, "daemon": 2, "web": 1}
"""With `--workers`: processes of runs, whole workers, and the service's own."""
NO_LIMIT = 1_000  # a worker that is started again and its dead predecessor count both for a while
_BELOW_CODE_SERVER = {
    "worker": proc.workers,
    "standing": proc.standing_workers,
    "forkserver": proc.fork_servers,
}
LOOK_EVERY_S = 0.05
DRAWS_FOR_S = 30.0  # a worker draws its report once its run has ended


@dataclass
class Story:
    """What happened, as far as it is wanted for the verdict."""

    tasks: dict[str, BacktestRequest] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    workers_seen: set[int] = field(default_factory=set)
    most_active: int = 0
    looks: int = 0


def main() -> None:
    """Runs the trouble and exits with the verdict."""
    options = _options()
    unwind_on_terminate()
    env = {
        "PYTHONPATH": str(ROOT),
        "BACKTEST_STRATEGIES": "backtest_pipeline_tests.acceptance.trouble_strategies",
    }
    sys.path.insert(0, str(ROOT))
    with (
        broker_env(wanted=options.workers) as database,
        scratch_service(
            env=env,
            database=database,
            keep=options.keep,
            service=WorkerService if options.workers else LocalService,
        ) as scene,
    ):
        if options.keep:
            say(f"folder: {scene.folder}")
        story = _run(scene, options)
        rows = _rows(scene, story)
    say(table(rows))
    for problem in story.problems:
        say(f"PROBLEM: {problem}")
    say("verdict: " + ("nothing lost, nothing mixed" if not story.problems else "broken"))
    sys.exit(1 if story.problems else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long processes are killed")
    parser.add_argument("--settle", type=float, default=120.0, help="how long the rest may take afterwards")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--victims", default=",".join(VICTIMS | OF_MACHINES), help="what may be killed")
    parser.add_argument("--workers", action="store_true", help="on PostgreSQL, Redis and two workers")
    parser.add_argument("--keep", action="store_true", help="leave the folder with its logs behind")
    return parser.parse_args()


def _run(scene: ScratchService, options: argparse.Namespace) -> Story:
    story, over = Story(), threading.Event()
    chance = random.Random(options.seed)  # noqa: S311  a plan, not a secret
    requests = [_request(number, chance) for number in range(options.tasks)]
    submitter = threading.Thread(target=_submit_all, args=(scene, story, requests, options, over))
    watcher = threading.Thread(target=_watch, args=(scene, story, over))
    submitter.start()
    watcher.start()
    try:
        _kill_at_random(scene, story, chance, options)
        settled_s = _settle(scene, story, submitter, options)
        say(f"settled {settled_s:.1f} s after the last kill")
    finally:
        over.set()
        submitter.join()
        watcher.join()
    limit = NO_LIMIT if options.workers else LIMIT
    story.problems += problems(scene, story.tasks, limit)
    if len(story.tasks) != options.tasks:
        story.problems.append(f"{len(story.tasks)} of {options.tasks} tasks were taken")
    if story.most_active > limit:
        story.problems.append(f"{story.most_active} runs were seen to hold a slot at once; limit {limit}")
    _end_well(scene, story)
    return story


def _request(number: int, chance: random.Random) -> BacktestRequest:
    """Half of the backtests are over in a moment, half last long enough to be hit at work."""
    common = {"max_retries": 10, "labels": {"chaos": str(number)}}
    if chance.random() < 0.5:
        seconds = chance.choice([0.2, 0.5, 1.0])
        return BacktestRequest(strategy="slow", params={"seconds": seconds}, symbols=["IBM"], **common)
    fast = chance.randrange(5, 15)
    symbols = chance.sample(["AAPL", "IBM", "MSFT"], chance.randint(1, 3))
    return BacktestRequest(
        strategy="sma_cross", params={"fast": fast, "slow": 3 * fast}, symbols=symbols, **common
    )


def _submit_all(
    scene: ScratchService,
    story: Story,
    requests: list[BacktestRequest],
    options: argparse.Namespace,
    over: threading.Event,
) -> None:
    """Submits during the first two thirds of the trouble, each until it is taken or the time is over."""
    started, seconds = time.monotonic(), options.seconds
    give_up = started + seconds + options.settle
    for number, request in enumerate(requests):
        time.sleep(max(started + number * seconds * 0.66 / len(requests) - time.monotonic(), 0))
        while time.monotonic() < give_up and not over.is_set():
            with suppress(ServiceError):
                task = scene.client.submit(request, idempotency_key=f"chaos-{number}")
                story.tasks[task.task_id] = request
                break
            time.sleep(0.2)


def _watch(scene: ScratchService, story: Story, over: threading.Event) -> None:
    while not over.wait(LOOK_EVERY_S):
        story.workers_seen.update(proc.workers(scene.pid("code")))
        story.workers_seen.update(_runs_of(scene))
        with suppress(httpx.HTTPError, KeyError):
            story.most_active = max(story.most_active, len(scene.active_runs()))
            story.looks += 1


def _kill_at_random(
    scene: ScratchService, story: Story, chance: random.Random, options: argparse.Namespace
) -> None:
    """Kills and restarts; in the main thread, as children of other threads are stopped when those end."""
    weights = OF_MACHINES if options.workers else VICTIMS
    names = [name for name in weights if name in options.victims.split(",")]
    deadline = time.monotonic() + options.seconds
    while time.monotonic() < deadline:
        time.sleep(chance.uniform(0.2, 2.5))
        victim = chance.choices(names, [weights[name] for name in names])[0]
        dead_s = chance.uniform(0, 1.5)
        _restart_the_dead(scene, story)
        if victim == "machine":
            victim = chance.choice([name for name in scene.service.processes if name.startswith("worker-")])
        if victim == "run":
            if not _kill_one(lambda: _runs_of(scene), chance):
                continue
        elif victim in _BELOW_CODE_SERVER:
            find = _BELOW_CODE_SERVER[victim]
            if not _kill_one(lambda find=find: find(scene.pid("code")), chance):  # type: ignore[misc]  # bound now
                continue
        else:
            scene.service.processes[victim].kill()
            time.sleep(dead_s)
            scene.service.processes[victim].start()
        story.kills[victim] += 1


def _kill_one(find: Callable[[], list[int]], chance: random.Random) -> bool:
    """Kills one of the processes that are found, if any comes up within a second."""
    deadline = time.monotonic() + 1
    while not (found := find()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.kill(chance.choice(found), signal.SIGKILL)
    return True


def _runs_of(scene: ScratchService) -> list[int]:
    """The processes in which workers have runs."""
    keepers = [process.pid for name, process in scene.service.processes.items() if name.startswith("worker-")]
    return [pid for keeper in keepers if keeper for pid in proc.family(keeper) if proc.runs(pid)]


def _restart_the_dead(scene: ScratchService, story: Story) -> None:
    """Nothing may end by itself; what does is reported and started again."""
    for process in scene.service.processes.values():
        if process.exit_status is not None:
            story.problems.append(
                f"{process.name} ended by itself with status {process.exit_status}: {process.last_words(15)}"
            )
            process.start()


def _settle(
    scene: ScratchService, story: Story, submitter: threading.Thread, options: argparse.Namespace
) -> float:
    """Waits until all tasks have ended; returns the seconds that it took."""
    started = time.monotonic()
    while time.monotonic() - started < options.settle:
        _restart_the_dead(scene, story)
        time.sleep(0.2)
        with suppress(ServiceError):
            taken_all = not submitter.is_alive()
            if all(task.final for task in scene.client.statuses(list(story.tasks))) and taken_all:
                break
    return time.monotonic() - started


def _end_well(scene: ScratchService, story: Story) -> None:
    """After all of it: workers are gone with their runs, and a new task runs as ever."""
    started = time.monotonic()
    last = scene.client.submit(BacktestRequest(strategy="buy_and_hold", symbols=["IBM"]), reuse=False)
    ended = scene.client.wait(last.task_id, timeout_s=60)
    if ended.state != "completed" or ended.attempt > 1:
        story.problems.append(f"a task after the trouble {ended.state}: {ended.error}")
    say(f"a task after the trouble took {time.monotonic() - started:.2f} s")
    done_by_s = time.monotonic() + DRAWS_FOR_S
    while (alive := [pid for pid in sorted(story.workers_seen) if proc.alive(pid)]) and (
        time.monotonic() < done_by_s
    ):
        time.sleep(0.2)
    story.problems += [f"worker {pid} outlived its run" for pid in alive]


def _rows(scene: ScratchService, story: Story) -> list[tuple[str, str]]:
    runs = all_runs(scene)
    attempts = Counter(run["rootRunId"] or run["runId"] for run in runs)
    return [
        ("tasks", str(len(story.tasks))),
        ("kills", ", ".join(f"{name} {count}" for name, count in sorted(story.kills.items()))),
        ("runs", ", ".join(f"{status} {n}" for status, n in Counter(r["status"] for r in runs).items())),
        ("tasks by attempts", str(dict(sorted(Counter(attempts.values()).items())))),
        ("most runs at once", f"{story.most_active} in {story.looks} looks; of a usual {LIMIT}"),
        ("workers seen", str(len(story.workers_seen))),
    ]


if __name__ == "__main__":
    main()
