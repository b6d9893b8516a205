"""Finding tasks by what they are and when they were submitted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from backtest_pipeline.model import tags
from backtest_pipeline.model.request_tags import label_tags
from backtest_pipeline.model.status import STATE_OF, TaskState, TaskStatus
from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.states import Run, task_of
from backtest_pipeline.sdk.task_runs import MOST_TASKS, TaskRuns
from backtest_pipeline.sdk.transport import GraphQL

_FEWEST = 20


@dataclass(frozen=True)
class Wanted:
    """Which tasks to list; `None`: any.

    Attributes:
        state: the task's state, which is that of its newest attempt.
        strategy: the strategy's name.
        labels: labels that the task has, with their values.
        since: submitted at that moment or later.
        until: submitted at that moment or earlier.
    """

    state: TaskState | None = None
    strategy: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None

    def has(self, task: TaskStatus) -> bool:
        """Whether a task is wanted."""
        return (
            self.state in {None, task.state}
            and self.strategy in {None, task.strategy}
            and all(task.labels.get(name) == value for name, value in self.labels.items())
            and (self.since is None or task.submitted_at >= self.since)
            and (self.until is None or task.submitted_at <= self.until)
        )

    def runs_filter(self) -> dict[str, Any]:
        """A filter for runs that leaves out no wanted task's newest attempt (or root, where that will do)."""
        run_tags = label_tags(self.labels)
        if self.strategy is not None:
            run_tags[tags.STRATEGY] = self.strategy
        wanted: dict[str, Any] = {}  # of any job: a filter takes one, and tasks are of several
        if run_tags:
            wanted["tags"] = [{"key": key, "value": value} for key, value in run_tags.items()]
        if self.state is not None:
            wanted["statuses"] = [status for status, state in STATE_OF.items() if state == self.state]
        if self.state == "queued":
            wanted["statuses"].append("FAILURE")  # its retry may be still to come
        if self.since is not None:
            wanted["createdAfter"] = self.since.timestamp() - 1
        if self.until is not None and not run_tags and self.state is None:
            wanted["createdBefore"] = self.until.timestamp() + 1  # later attempts have earlier roots
        return wanted


def moment(value: date | datetime | None, *, end_of_day: bool = False) -> datetime | None:
    """A moment in UTC; a date means its first moment, or with `end_of_day` its last."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.max if end_of_day else time.min, UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def newest_tasks(
    graphql: GraphQL,
    task_runs: TaskRuns,
    statuses: Callable[[Iterable[str]], Mapping[str, TaskStatus]],
    wanted: Wanted,
    limit: int,
) -> list[TaskStatus]:
    """The newest wanted tasks, newest first by submission.

    Runs come newest first, a page at a time. A task's attempts are younger than the task, so once a page
    ends at a moment, every task submitted after that moment has been seen.
    """
    found: dict[str, TaskStatus] = {}
    for page in pages(graphql, task_runs, wanted.runs_filter(), min(max(limit, _FEWEST), MOST_TASKS)):
        ours = [run for run in page if run.get("jobName", tags.JOB) in tags.TASK_JOBS]
        found |= statuses(task_id for task_id in map(task_of, ours) if task_id not in found)
        ended_at = datetime.fromtimestamp(page[-1]["creationTime"], UTC) - timedelta(milliseconds=1)
        if sum(wanted.has(task) and task.submitted_at > ended_at for task in found.values()) >= limit:
            break
    tasks = [task for task in found.values() if wanted.has(task)]
    return sorted(tasks, key=lambda task: task.submitted_at, reverse=True)[:limit]


def pages(graphql: GraphQL, task_runs: TaskRuns, runs_filter: Any, size: int) -> Iterator[list[Run]]:
    """Yield the runs that pass a filter, newest first, some at a time: ids, jobs and moments."""
    cursor: str | None = None
    while True:
        variables = {"filter": runs_filter, "cursor": cursor, "limit": size}
        page = task_runs.runs(graphql.ask_patiently(queries.PAGE, variables)["runsOrError"])
        if page:
            yield page
            cursor = str(page[-1]["runId"])
        if len(page) < size:
            return
