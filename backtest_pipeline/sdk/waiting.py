"""Watching tasks until they have ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from backtest_pipeline.model.errors import WaitTimedOut
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.sdk.clock import Clock

_SHORTEST_PAUSE_S = 0.04
_LONGEST_PAUSE_S = 0.5
_PAUSE_PER_WAITED = 0.1
"""Whoever has waited for a second learns of the end a tenth of a second late at most."""


def wait_for(
    task_ids: Sequence[str],
    statuses: Callable[[Sequence[str]], Mapping[str, TaskStatus]],
    clock: Clock,
    timeout_s: float | None,
    on_progress: Callable[[TaskStatus], object] | None,
) -> list[TaskStatus]:
    """Asks for the statuses of unfinished tasks again and again; pauses at least as long as an answer takes.

    Raises:
        WaitTimedOut: one or more tasks have not ended in time.
    """
    seen: dict[str, TaskStatus] = {}
    waiting = list(dict.fromkeys(task_ids))
    started_s = clock.monotonic_s()
    while waiting:
        asked_s = clock.monotonic_s()
        for task_id, status in statuses(waiting).items():
            if on_progress is not None and status != seen.get(task_id):
                on_progress(status)
            seen[task_id] = status
        waiting = [task_id for task_id in waiting if not seen[task_id].final]
        now_s = clock.monotonic_s()
        if waiting and timeout_s is not None and now_s - started_s >= timeout_s:
            raise WaitTimedOut(waiting[0], seen[waiting[0]].state, timeout_s, waiting[1:])
        if waiting:
            left_s = float("inf") if timeout_s is None else started_s + timeout_s - now_s
            pause_s = min(max(_PAUSE_PER_WAITED * (now_s - started_s), _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
            clock.sleep(min(max(pause_s, now_s - asked_s), left_s))
    return [seen[task_id] for task_id in task_ids]
