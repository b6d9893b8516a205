"""What `/metrics` reports to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backtest_pipeline.web.monitoring.health_checks import Check
from backtest_pipeline.web.monitoring.results_disk import LastCleanup

_LATENCY_BUCKETS_S = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14_400)


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One worker of the broker, as it has said itself.

    Attributes:
        host: its machine.
        slots: how many runs, and chunks, it takes at a time, by queue.
        busy: how many it is at work on, by queue.
        chunks: how many chunks it has done.
        chunk_seconds: what they have taken.
    """

    host: str
    slots: Mapping[str, int]
    busy: Mapping[str, int]
    chunks: int
    chunk_seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the service.

    Attributes:
        tasks: how many tasks are in each state.
        ended: state and seconds from submission to end, of each task that ended since the last look.
        results: how many tasks have a folder.
        results_bytes: what the folders take.
        free_bytes: free on the volume, or `None` where that is unknown.
        cleanup: the newest cleanup.
        checks: as `/healthz` shows.
        workers: those of the broker, by name; `None` where there is no broker.
        waiting: how many messages wait in the broker, by queue; empty where it does not answer.
    """

    tasks: Mapping[str, int]
    ended: Sequence[tuple[str, float]]
    results: int
    results_bytes: int
    free_bytes: int | None
    cleanup: LastCleanup | None
    checks: Sequence[Check]
    workers: Mapping[str, WorkerFigures] | None = None
    waiting: Mapping[str, int] = field(default_factory=dict)


class Metrics(Collector):
    """Figures in Prometheus' words; latencies add up from one look to the next."""

    def __init__(self) -> None:
        """Begins with empty histograms."""
        self._figures: Figures | None = None
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "backtest_task_latency_seconds",
            "From submission to end, of tasks that ended while this server ran.",
            ["state"],
            buckets=_LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        for state in ("completed", "failed", "cancelled"):
            self._latency.labels(state)  # there from the start, at zero
        self._registry.register(self)

    def page(self, figures: Figures) -> bytes:
        """The page for these figures, each of which is to be given once."""
        self._figures = figures
        for state, latency_s in figures.ended:
            self._latency.labels(state).observe(latency_s)
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The gauges of the newest figures; what is unknown is left out rather than reported as zero."""
        now = self._figures
        if now is None:
            return
        yield _by("backtest_tasks", "Tasks by state, as far as Dagster keeps their runs.", "state", now.tasks)
        oks = {check.name: check.ok for check in now.checks}
        yield _by("backtest_check_ok", "1 where a check of /healthz is well.", "check", oks)
        yield _one("backtest_results", "Tasks with results on the volume.", now.results)
        yield _one("backtest_results_bytes", "Bytes of all results.", now.results_bytes)
        if now.free_bytes is not None:
            yield _one("backtest_disk_free_bytes", "Free on the volume of the results.", now.free_bytes)
        if now.cleanup is not None:
            help_text = "Unix time at which results were last cleaned up."
            yield _one("backtest_cleanup_last_timestamp_seconds", help_text, now.cleanup.finished_at_s)
            yield _one("backtest_cleanup_last_deleted", "What that cleanup deleted.", now.cleanup.deleted)
            help_text = "Bytes that that cleanup freed."
            yield _one("backtest_cleanup_last_freed_bytes", help_text, now.cleanup.freed_bytes)
        if now.workers is not None:
            yield from _of_workers(now.workers)
            help_text = "Messages that wait in the broker."
            yield _by("backtest_broker_waiting", help_text, "queue", now.waiting)


def _of_workers(workers: Mapping[str, WorkerFigures]) -> Iterator[Metric]:
    labels = ["worker", "host"]
    slots = GaugeMetricFamily(
        "backtest_worker_slots", "Runs and chunks that a worker takes at a time.", labels=[*labels, "queue"]
    )
    busy = GaugeMetricFamily(
        "backtest_worker_busy", "Runs and chunks that a worker is at.", labels=[*labels, "queue"]
    )
    chunks = CounterMetricFamily("backtest_worker_chunks", "Chunks that a worker has done.", labels=labels)
    seconds = CounterMetricFamily(
        "backtest_worker_chunk_seconds", "Seconds that those chunks have taken.", labels=labels
    )
    for name, worker in workers.items():
        for queue in worker.slots:
            slots.add_metric([name, worker.host, queue], worker.slots[queue])
            busy.add_metric([name, worker.host, queue], worker.busy[queue])
        chunks.add_metric([name, worker.host], worker.chunks)
        seconds.add_metric([name, worker.host], worker.chunk_seconds)
    yield _one("backtest_workers", "Workers that renew their lease.", len(workers))
    yield from (slots, busy, chunks, seconds)


def _one(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)


def _by(name: str, help_text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
