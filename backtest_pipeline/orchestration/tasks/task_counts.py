"""Counting tasks for `/metrics`, by queries whose cost does not grow with what was counted before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

from backtest_pipeline.model import tags
from backtest_pipeline.model.retries import retry_is_coming
from backtest_pipeline.orchestration.tasks.attempts import is_first, task_of
from backtest_pipeline.orchestration.tasks.cluster_figures import ClusterFigures
from backtest_pipeline.orchestration.tasks.run_states import ENDED, STATUSES, state_of
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.web.monitoring.health_checks import Check, free_bytes
from backtest_pipeline.web.monitoring.prometheus import Figures
from backtest_pipeline.web.monitoring.results_disk import ResultsSize, last_cleanup

_PAGE = 1_000
_OVERLAP_S = 60.0


def task_counts(instance: DagsterInstance) -> dict[str, int]:
    """How many tasks are in each state.

    Counted by attempts: one that failed and was retried by Dagster is not counted, one that somebody
    re-executed by hand counts beside its re-execution.
    """
    counts: dict[str, int] = {state: _count(instance, statuses) for state, statuses in STATUSES.items()}
    counts["failed"] -= _count(instance, STATUSES["failed"], {tags.WILL_RETRY: "true"})
    return counts


class EndedTasks:
    """Tasks that ended while this process ran, each counted once."""

    def __init__(self, instance: DagsterInstance, started_at_s: float) -> None:
        """Begins at a moment, in seconds since 1970."""
        self._instance = instance
        self._started_at_s = started_at_s
        self._looked_at_s = started_at_s
        self._told: dict[str, float] = {}

    def look(self, now_s: float) -> list[tuple[str, float]]:
        """State and seconds from submission to end, of tasks that ended since the last look.

        A failure is counted some seconds late: until then Dagster may still decide to retry it.
        """
        floor_s = max(self._started_at_s, self._looked_at_s - _OVERLAP_S)
        self._told = {run_id: end_s for run_id, end_s in self._told.items() if end_s >= floor_s}
        found: list[tuple[str, float]] = []
        for record in (one for job in tags.TASK_JOBS for one in self._updated_since(job, floor_s)):
            run, end_s = record.dagster_run, record.end_time
            if end_s is None or end_s < floor_s or run.run_id in self._told:
                continue
            state, retried = state_of(run), False
            if state == "failed":
                decided = retry_is_coming(run.tags, attempt=None, failed_for_s=now_s - end_s)
                if decided is None:
                    continue
                retried = decided
            self._told[run.run_id] = end_s
            if not retried:
                found.append((state, max(0.0, end_s - self._submitted_at_s(record))))
        self._looked_at_s = now_s
        return found

    def _updated_since(self, job: str, moment_s: float) -> Iterator[RunRecord]:
        after = datetime.fromtimestamp(moment_s, UTC) - timedelta(milliseconds=1)
        while True:
            wanted = RunsFilter(job_name=job, statuses=ENDED, updated_after=after)
            page = self._instance.get_run_records(
                wanted, limit=_PAGE, order_by="update_timestamp", ascending=True
            )
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].update_timestamp.replace(tzinfo=UTC)

    def _submitted_at_s(self, record: RunRecord) -> float:
        run = record.dagster_run
        root = None if is_first(run) else self._instance.get_run_record_by_id(task_of(run))
        return (root or record).create_timestamp.replace(tzinfo=UTC).timestamp()


class Counter:
    """Makes `Figures`."""

    def __init__(
        self,
        instance: DagsterInstance,
        layout: Layout,
        clock: Callable[[], float],
        cluster: ClusterFigures | None = None,
    ) -> None:
        """Counts from now on.

        Args:
            instance: whose runs are counted.
            layout: of the volume.
            clock: seconds since 1970.
            cluster: looks at workers and broker, where there are any.
        """
        self._cluster = cluster
        self._instance = instance
        self._layout = layout
        self._clock = clock
        self._ended = EndedTasks(instance, clock())
        self._size = ResultsSize(layout.tasks)

    def figures(self, checks: Sequence[Check]) -> Figures:
        """One look at runs and volume."""
        results, results_bytes = self._size.measured()
        return Figures(
            tasks=task_counts(self._instance),
            ended=self._ended.look(self._clock()),
            results=results,
            results_bytes=results_bytes,
            free_bytes=free_bytes(self._layout.data_root),
            cleanup=last_cleanup(self._layout),
            checks=checks,
            workers=None if self._cluster is None else self._cluster.workers(),
            waiting={} if self._cluster is None else self._cluster.waiting(),
        )


def _count(
    instance: DagsterInstance, statuses: list[DagsterRunStatus], run_tags: dict[str, str] | None = None
) -> int:
    return sum(
        instance.get_runs_count(RunsFilter(job_name=job, statuses=statuses, tags=run_tags))
        for job in tags.TASK_JOBS
    )
