"""The pipeline's own job for a stock Dagster, as a rival; STOCK_EXECUTOR chooses the executor."""

import os

import dagster as dg  # noqa: TID251  a rival's code location, no part of the pipeline

from backtest_pipeline.orchestration.jobs.backtest import backtest
from backtest_pipeline.orchestration.tasks.run_context import RunContext
from backtest_pipeline.settings import get_settings

_EXECUTORS = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}

definitions = dg.Definitions(
    jobs=[backtest.with_executor_def(_EXECUTORS[os.environ["STOCK_EXECUTOR"]])],
    resources={"run_context": dg.ResourceDefinition(lambda _: RunContext(get_settings()))},
)
