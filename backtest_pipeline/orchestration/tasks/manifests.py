"""From a run to its manifest."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from dagster import DagsterRunStatus, RunsFilter

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import AttemptSuperseded
from backtest_pipeline.model.manifest import (
    CandleFingerprint,
    Environment,
    FinalState,
    Manifest,
    ResultFile,
    Summary,
    TaskErrorRecord,
    Timestamps,
)
from backtest_pipeline.model.request import digest_of
from backtest_pipeline.model.task_kind import backtest_of, kind_of, strategies_of
from backtest_pipeline.strategies.registry import code_sha256_of

if TYPE_CHECKING:
    from dagster import DagsterInstance, RunRecord

    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.workflows.sweep_files import SweepFiles
    from backtest_pipeline.workflows.trial_tally import TrialTally

_ALIVE = {DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a task, as Dagster knows it.

    Attributes:
        task_id: id of the root run.
        run_ids: the task's runs up to this one, oldest first.
        submitted_at: creation of the root run.
        started_at: start of this run.
    """

    task_id: str
    run_ids: list[str]
    submitted_at: datetime
    started_at: datetime | None

    @classmethod
    def of(cls, instance: DagsterInstance, run_id: str) -> Attempt:
        """Looks a run up, with the attempts before it."""
        records = attempts_of(instance, run_id)
        if not records:  # only where a run is deleted while it executes
            now = datetime.now(UTC)
            return cls(run_id, [run_id], now, now)
        ids = [record.dagster_run.run_id for record in records]
        here = ids.index(run_id)
        started = records[here].start_time
        return cls(
            task_id=records[0].dagster_run.root_run_id or ids[0],
            run_ids=ids[: here + 1],
            submitted_at=records[0].create_timestamp.replace(tzinfo=UTC),
            started_at=None if started is None else datetime.fromtimestamp(started, UTC),
        )

    def refuse_given_up(self, instance: DagsterInstance) -> None:
        """Stops an attempt that Dagster has declared dead and that lives on: it may publish nothing.

        Raises:
            AttemptSuperseded: there is a later attempt, or this one counts as failed or cancelled.
        """
        records = attempts_of(instance, self.run_ids[-1])
        own = next((one for one in records if one.dagster_run.run_id == self.run_ids[-1]), None)
        given_up = own is None or own.dagster_run.status not in _ALIVE
        if given_up or len(records) > len(self.run_ids):
            raise AttemptSuperseded(self.task_id, len(self.run_ids), len(records))


def attempts_of(instance: DagsterInstance, run_id: str) -> list[RunRecord]:
    """All runs of a run's task, oldest first; empty where the run is unknown."""
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        return []
    task_id = record.dagster_run.root_run_id or run_id
    root = record if task_id == run_id else instance.get_run_record_by_id(task_id)
    later = instance.get_run_records(RunsFilter(tags={tags.ROOT_RUN: task_id}))
    return [*([root] if root else []), *sorted(later, key=lambda one: one.create_timestamp)]


def completed_manifest(
    attempt: Attempt,
    result: BacktestResult,
    *,
    files: list[ResultFile],
    candles: list[CandleFingerprint],
    finished_at: datetime,
    ttl_days: int,
    submitted_code: str | None = None,
) -> Manifest:
    """The record of a task that completed; `submitted_code` is the digest of the code its submitter had."""
    return Manifest(
        **_asked(result.request.to_dict(), submitted_code),
        **_ran(attempt, finished_at, None if result.request.pinned else ttl_days),
        status="completed",
        result_files=files,
        candles=candles,
        summary=Summary(
            total_signals=len(result.signals),
            total_trades=len(result.trades),
            symbols_processed=len(candles),
            symbols_failed=0,
        ),
        metrics=result.metrics,
        by_symbol=result.by_symbol,
        calendars=result.calendars,
        checks=result.checks,
        diagnostics=result.diagnostics,
        error=None,
    )


def completed_sweep_manifest(
    attempt: Attempt,
    request: SweepRequest,
    tally: TrialTally,
    written: SweepFiles,
    *,
    candles: list[CandleFingerprint],
    finished_at: datetime,
    ttl_days: int,
    remarks: list[str],
    submitted_code: str | None = None,
) -> Manifest:
    """The record of a sweep that completed; signals, trades and metrics are those of its best trial."""
    best = written.best
    symbols = {seen.symbol for seen in candles}
    return Manifest(
        **_asked(request.to_dict(), submitted_code),
        **_ran(attempt, finished_at, None if request.backtest.pinned else ttl_days),
        status="completed",
        result_files=written.files,
        candles=candles,
        summary=Summary(
            total_signals=len(best.signals) if best else 0,
            total_trades=len(best.trades) if best else 0,
            symbols_processed=len(symbols),
            symbols_failed=0,
            trials={**tally.states, "ranked": tally.ranked},
            best_trial=written.best_trial,
        ),
        metrics=best.metrics if best else {},
        by_symbol=best.by_symbol if best else {},
        calendars=best.calendars if best else None,
        checks=best.checks if best else {},
        diagnostics=[*remarks, *(best.diagnostics if best else [])],
        error=None,
    )


def unfinished_manifest(
    attempt: Attempt,
    asked: Mapping[str, Any],
    *,
    status: FinalState,
    error: TaskErrorRecord | None,
    finished_at: datetime,
    ttl_days: int,
    submitted_code: str | None = None,
) -> Manifest:
    """The record of a task that failed or was cancelled; `asked` may be a request that was refused."""
    return Manifest(
        **_asked(asked, submitted_code),
        **_ran(attempt, finished_at, None if backtest_of(asked).get("pinned") else ttl_days),
        status=status,
        result_files=[],
        candles=[],
        summary=Summary(
            total_signals=0,
            total_trades=0,
            symbols_processed=0,
            symbols_failed=len(backtest_of(asked)["symbols"]),
        ),
        metrics={},
        by_symbol={},
        checks={},
        diagnostics=[],
        error=error,
    )


def _asked(request: Mapping[str, Any], submitted_code: str | None) -> dict[str, Any]:
    backtest = backtest_of(request)
    code = {
        "code_sha256": code_sha256_of(*strategies_of(request)),
        "submitted_code_sha256": submitted_code,
    }
    copied = ("params", "symbols", "timeframe", "start", "end", "pinned")
    return {
        "kind": kind_of(request),
        "strategy_id": backtest["strategy"],
        **{name: backtest[name] for name in copied},
        "request": dict(request),
        "request_digest": digest_of(request),
        "environment": _environment().model_copy(update=code),
    }


def _ran(attempt: Attempt, finished_at: datetime, ttl_days: int | None) -> dict[str, Any]:
    started = attempt.started_at or finished_at
    return {
        "task_id": attempt.task_id,
        "timestamps": Timestamps(
            submitted_at=attempt.submitted_at,
            started_at=attempt.started_at,
            finished_at=finished_at,
            expires_at=finished_at + timedelta(days=ttl_days) if ttl_days else None,
        ),
        "duration_ms": max(round((finished_at - started).total_seconds() * 1_000), 0),
        "attempt": len(attempt.run_ids),
        "run_ids": attempt.run_ids,
    }


@cache
def _environment() -> Environment:
    libraries = ("dagster", "numpy", "pandas", "pyarrow", "numba")
    return Environment(
        backtest_pipeline=version("backtest-pipeline"),
        python=platform.python_version(),
        **{library: version(library) for library in libraries},
        platform=platform.platform(),
        host=platform.node(),
    )
