"""Names of the run tags by which the pipeline and its clients speak of a task."""

from __future__ import annotations

STRATEGY = "backtest/strategy"
SYMBOLS = "backtest/symbols"
TIMEFRAME = "backtest/timeframe"
PROGRESS = "backtest/progress"
STAGE = "backtest/stage"
RESULT_PATH = "backtest/result_path"
REQUEST_DIGEST = "backtest/request_digest"
IDEMPOTENCY_KEY = "backtest/idempotency_key"
ERROR = "backtest/error"
LABEL_PREFIX = "label/"

ROOT_RUN = "dagster/root_run_id"
WILL_RETRY = "dagster/will_retry"
PRIORITY = "dagster/priority"

JOB = "backtest"
CODE_LOCATION = "backtest_pipeline"
REPOSITORY = "__repository__"
