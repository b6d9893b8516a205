"""Names of the run tags by which the pipeline and its clients speak of a task."""

from __future__ import annotations

import math
from collections.abc import Mapping

STRATEGY = "backtest/strategy"
SYMBOLS = "backtest/symbols"
TIMEFRAME = "backtest/timeframe"
PROGRESS = "backtest/progress"
STAGE = "backtest/stage"
RESULT_PATH = "backtest/result_path"
REQUEST_DIGEST = "backtest/request_digest"
IDEMPOTENCY_KEY = "backtest/idempotency_key"
REUSE = "backtest/reuse"
"""Whether a submission takes an earlier task's result: `true` or `false`; without it, it runs."""
ERROR = "backtest/error"
ALERTED = "backtest/told"
RECORDED = "backtest/recorded"
NOT_BEFORE = "backtest/not_before"
RETRY_OWED = "backtest/retry_owed"
CODE = "backtest/code_sha256"
SUBMITTED_CODE = "backtest/submitted_code_sha256"
ANY_CODE = "backtest/any_code"
LAUNCH = "backtest/launch"
"""Of a run that workers of other machines may execute: what the message that starts it has to say."""
WORKER = "backtest/worker"
"""Which of them executes it, and the run's id, as a retry has the tags of the run before it."""
LABEL_PREFIX = "label/"
USER = "user"

ROOT_RUN = "dagster/root_run_id"
PARENT_RUN = "dagster/parent_run_id"
AUTO_RETRY_RUN = "dagster/auto_retry_run_id"
FAILURE_REASON = "dagster/failure_reason"
RESUME = "dagster/is_resume_retry"
RESUME_ASSETS = "dagster/is_asset_resume_retry"
WILL_RETRY = "dagster/will_retry"
RETRY_NUMBER = "dagster/retry_number"
PRIORITY = "dagster/priority"
MAX_RETRIES = "dagster/max_retries"
MAX_RUNTIME = "dagster/max_runtime"

JOB = "backtest"
STRATEGIES_OF_JOB = "strategies"
"""Label of the job's metadata that tells which strategies there are, with the digest of each one's code."""
SWEEP_JOB = "sweep"
WALK_FORWARD_JOB = "walk_forward"
TASK_JOBS = (JOB, SWEEP_JOB, WALK_FORWARD_JOB)
"""The jobs whose runs are attempts of tasks."""
CLEANUP_JOB = "cleanup_task_results"
UPDATE_JOB = "update_candles"
CODE_LOCATION = "backtest_pipeline"
REPOSITORY = "__repository__"

_MOST_BYTES = 2_000  # an entry of PostgreSQL's index of tags has 2,704 at most


def fitting(run_tags: Mapping[str, str]) -> dict[str, str]:
    """Tags with values of at most 2,000 bytes, as PostgreSQL's index takes them: whole symbols, cut texts.

    What was cut is whole in the manifest.
    """
    return {name: _cut(value, "," if name == SYMBOLS else "") for name, value in run_tags.items()}


def _cut(value: str, separator: str) -> str:
    encoded = value.encode(errors="replace")
    if len(encoded) <= _MOST_BYTES:
        return value
    kept = encoded[:_MOST_BYTES].decode(errors="ignore")
    return kept.rpartition(separator)[0] if separator else f"{kept}…"


def number(run_tags: Mapping[str, str], name: str, default: float) -> float:
    """A tag as a number; the default where it is missing, or where somebody has written something else."""
    try:
        value = float(run_tags[name])
    except (KeyError, ValueError):
        return default
    return value if math.isfinite(value) else default
