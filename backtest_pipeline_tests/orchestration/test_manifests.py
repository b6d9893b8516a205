"""From a run to its manifest."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest

from backtest_pipeline import BacktestRequest, run_backtest
from backtest_pipeline.model.manifest import CandleFingerprint, ResultFile, TaskErrorRecord
from backtest_pipeline.orchestration.tasks.attempts import Attempt
from backtest_pipeline.orchestration.tasks.manifests import completed_manifest, unfinished_manifest
from backtest_pipeline.strategies.registry import code_sha256_of
from backtest_pipeline_tests.results.published import NOON, OTHER, TASK, wandering

ASKED = {"strategy": "sma_cross", "params": {"fast": 3, "slow": 8}, "symbols": ["ACME"]}
ENDED = NOON + timedelta(seconds=90)
SECOND = Attempt(TASK, [TASK, OTHER], submitted_at=NOON, started_at=NOON + timedelta(seconds=88.5))
FILE = ResultFile(name="trades", path="trades.parquet", kind="parquet", size_bytes=1, sha256="0" * 64, rows=0)


def _completed(attempt: Attempt = SECOND, *, ttl_days: int = 7, **changes: Any) -> Any:
    request = BacktestRequest(**{**ASKED, **changes})
    result = run_backtest({"ACME": wandering()}, request)
    manifest = completed_manifest(
        attempt,
        result,
        files=[FILE],
        candles=[CandleFingerprint.of(wandering())],
        finished_at=ENDED,
        ttl_days=ttl_days,
        submitted_code="a" * 64,
    )
    return manifest, result


def test_a_completed_tasks_manifest_says_what_was_asked_on_what_by_what_and_what_came_out() -> None:
    manifest, result = _completed(labels={"desk": "fx"})
    assert (manifest.status, manifest.error, manifest.result_files) == ("completed", None, [FILE])
    assert (manifest.strategy_id, manifest.params, manifest.symbols) == (
        "sma_cross",
        {"fast": 3, "slow": 8},
        ["ACME"],
    )
    assert manifest.request == result.request.to_dict()
    assert manifest.request_digest == result.request.digest()
    assert [seen.sha256 for seen in manifest.candles] == [wandering().fingerprint()]
    assert (manifest.summary.total_signals, manifest.summary.total_trades) == (
        len(result.signals),
        len(result.trades),
    )
    assert manifest.metrics == result.metrics


def test_times_and_attempts_are_the_tasks_and_the_duration_is_the_attempts() -> None:
    manifest, _ = _completed()
    assert (manifest.task_id, manifest.attempt, manifest.run_ids) == (TASK, 2, [TASK, OTHER])
    assert manifest.user is None
    assert _completed(replace(SECOND, user="ann"))[0].user == "ann"
    assert manifest.timestamps.submitted_at == NOON
    assert manifest.timestamps.started_at == NOON + timedelta(seconds=88.5)
    assert manifest.duration_ms == 1_500, "90 s - 88.5 s"
    never_started, _ = _completed(Attempt(TASK, [TASK], NOON, None))
    assert (never_started.timestamps.started_at, never_started.duration_ms) == (None, 0)


@pytest.mark.parametrize(
    ("pinned", "ttl_days", "expires_at"),
    [(False, 7, ENDED + timedelta(days=7)), (False, 0, None), (True, 7, None)],
)
def test_a_result_expires_after_its_time_unless_it_is_pinned_or_kept_for_ever(
    pinned: bool, ttl_days: int, expires_at: datetime | None
) -> None:
    manifest, _ = _completed(ttl_days=ttl_days, pinned=pinned)
    assert (manifest.timestamps.expires_at, manifest.pinned) == (expires_at, pinned)


def test_the_environment_is_the_code_and_the_libraries_that_computed_it() -> None:
    manifest, _ = _completed()
    environment = manifest.environment
    assert environment.backtest_pipeline == version("backtest-pipeline")
    assert (environment.numpy, environment.dagster) == (version("numpy"), version("dagster"))
    assert environment.code_sha256 == code_sha256_of("sma_cross")
    assert environment.submitted_code_sha256 == "a" * 64


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_refused_request_is_recorded_as_it_was_asked(status: Any) -> None:
    asked = {**BacktestRequest(**ASKED).to_dict(), "strategy": "of_nobody", "params": {"fast": "three"}}
    error = TaskErrorRecord(type="ParamsInvalid", message="fast: no number", retryable=False, stage="loading")
    manifest = unfinished_manifest(SECOND, asked, status=status, error=error, finished_at=ENDED, ttl_days=7)
    assert (manifest.status, manifest.error, manifest.params) == (status, error, {"fast": "three"})
    assert (manifest.result_files, manifest.candles, manifest.metrics) == ([], [], {})
    assert (manifest.summary.symbols_processed, manifest.summary.symbols_failed) == (0, 1)
    assert (manifest.environment.code_sha256, manifest.environment.submitted_code_sha256) == (None, None)
    assert manifest.timestamps.expires_at == ENDED + timedelta(days=7)
