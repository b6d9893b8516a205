"""Names of the run tags by which the pipeline and its clients speak of a task."""

from __future__ import annotations

from collections.abc import Sequence

STRATEGY = "backtest/strategy"
SYMBOLS = "backtest/symbols"
TIMEFRAME = "backtest/timeframe"
PROGRESS = "backtest/progress"
STAGE = "backtest/stage"
RESULT_PATH = "backtest/result_path"
REQUEST_DIGEST = "backtest/request_digest"
IDEMPOTENCY_KEY = "backtest/idempotency_key"
ERROR = "backtest/error"
TOLD = "backtest/told"
RECORDED = "backtest/recorded"
NOT_BEFORE = "backtest/not_before"
RETRY_OWED = "backtest/retry_owed"
LABEL_PREFIX = "label/"
USER = "user"

ROOT_RUN = "dagster/root_run_id"
WILL_RETRY = "dagster/will_retry"
RETRY_NUMBER = "dagster/retry_number"
PRIORITY = "dagster/priority"
MAX_RETRIES = "dagster/max_retries"
MAX_RUNTIME = "dagster/max_runtime"

JOB = "backtest"
CLEANUP_JOB = "cleanup_task_results"
CODE_LOCATION = "backtest_pipeline"
REPOSITORY = "__repository__"


def symbols_value(symbols: Sequence[str], most: int = 10) -> str:
    """Value of the tag `SYMBOLS`: the symbols, or the first of them and how many more."""
    more = len(symbols) - most
    return ",".join(symbols[:most]) + (f" and {more} more" if more > 0 else "")
