"""From a run to its manifest."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

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
from backtest_pipeline.model.request_model import digest_of
from backtest_pipeline.model.task_kind import backtest_of, kind_of, strategies_of
from backtest_pipeline.strategies.registry import code_sha256_of
from backtest_pipeline.workflows.trial_tally import sweep_remarks

if TYPE_CHECKING:
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
    from backtest_pipeline.orchestration.tasks.attempts import Attempt
    from backtest_pipeline.workflows.execution_data import ExecutionData
    from backtest_pipeline.workflows.sweep_files import SweepFiles
    from backtest_pipeline.workflows.trial_tally import TrialTally
    from backtest_pipeline.workflows.walk_forward_chunks import TrainingTally
    from backtest_pipeline.workflows.walk_forward_files import WalkForwardFiles


def completed_manifest(
    attempt: Attempt,
    result: BacktestResult,
    *,
    files: list[ResultFile],
    candles: list[CandleFingerprint],
    data: ExecutionData | None = None,
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
        **_execution_data(data),
        summary=Summary(
            total_signals=len(result.signals),
            total_trades=len(result.trades),
            symbols_processed=len(result.request.symbols),
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
    data: ExecutionData | None = None,
    finished_at: datetime,
    ttl_days: int,
    remarks: list[str],
    submitted_code: str | None = None,
) -> Manifest:
    """The record of a sweep that completed; signals, trades and metrics are those of its best trial."""
    best = written.best
    return Manifest(
        **_asked(request.to_dict(), submitted_code),
        **_ran(attempt, finished_at, None if request.backtest.pinned else ttl_days),
        status="completed",
        result_files=written.files,
        candles=candles,
        **_execution_data(data),
        summary=Summary(
            total_signals=len(best.signals) if best else 0,
            total_trades=len(best.trades) if best else 0,
            symbols_processed=len(request.symbols_traded),
            symbols_failed=0,
            trials={**tally.states, "ranked": tally.ranked},
            best_trial=written.best_trial,
        ),
        metrics=best.metrics if best else {},
        by_symbol=best.by_symbol if best else {},
        calendars=best.calendars if best else None,
        checks=best.checks if best else {},
        diagnostics=[*remarks, *sweep_remarks(request, tally), *(best.diagnostics if best else [])],
        error=None,
    )


def completed_walk_forward_manifest(
    attempt: Attempt,
    request: WalkForwardRequest,
    tally: TrainingTally,
    written: WalkForwardFiles,
    *,
    candles: list[CandleFingerprint],
    data: ExecutionData | None = None,
    finished_at: datetime,
    ttl_days: int,
    remarks: list[str],
    submitted_code: str | None = None,
) -> Manifest:
    """The record of a walk-forward that completed; signals, trades and metrics are those out of sample."""
    result = written.walked.out_of_sample
    return Manifest(
        **_asked(request.to_dict(), submitted_code),
        **_ran(attempt, finished_at, None if request.sweep.backtest.pinned else ttl_days),
        status="completed",
        result_files=written.files,
        candles=candles,
        **_execution_data(data),
        summary=Summary(
            total_signals=len(result.signals),
            total_trades=len(result.trades),
            symbols_processed=len(result.request.symbols),
            symbols_failed=0,
            trials={**tally.states, "ranked": tally.ranked},
            folds=len(set(written.walked.folds.column("fold").to_pylist())),
        ),
        metrics=result.metrics,
        by_symbol=result.by_symbol,
        calendars=result.calendars,
        checks=result.checks,
        diagnostics=[*remarks, *result.diagnostics],
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


def _execution_data(data: ExecutionData | None) -> dict[str, Any]:
    """What was seen beside the candles."""
    if data is None:
        return {}
    return {"detail_candles": data.detail_fingerprints(), "funding_rates": data.funding_fingerprints()}


def _ran(attempt: Attempt, finished_at: datetime, ttl_days: int | None) -> dict[str, Any]:
    started = attempt.started_at or finished_at
    return {
        "task_id": attempt.task_id,
        "user": attempt.user,
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
