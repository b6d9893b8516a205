"""The composition root: what Dagster loads."""

import dagster as dg

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.orchestration.jobs.backtest import backtest
from backtest_pipeline.orchestration.jobs.candle_updates import update_candles, update_schedule
from backtest_pipeline.orchestration.jobs.cleanup import cleanup_schedule, cleanup_task_results
from backtest_pipeline.orchestration.jobs.final_states import final_states
from backtest_pipeline.orchestration.jobs.presets import result_assets
from backtest_pipeline.orchestration.jobs.sweep import sweep
from backtest_pipeline.orchestration.jobs.walk_forward import walk_forward
from backtest_pipeline.orchestration.tasks.candle_assets import candle_assets
from backtest_pipeline.orchestration.tasks.run_context import RunContext
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies.registry import strategies

_CANDLES = candle_assets(CandleStore(get_settings().data_root, get_settings().candle_timezone))

definitions = dg.Definitions(
    assets=[*_CANDLES, *result_assets(strategies(), [spec.key for spec in _CANDLES])],
    jobs=[backtest, sweep, walk_forward, cleanup_task_results, update_candles],
    schedules=[
        cleanup_schedule(get_settings().cleanup_schedule, get_settings().candle_timezone),
        update_schedule(get_settings().candle_update_schedule, get_settings().candle_timezone),
    ],
    sensors=[final_states],
    resources={
        "run_context": dg.ResourceDefinition(lambda _: RunContext(get_settings())),
        # Dagster's default, its settings fixed: from a run config it would take a path from the environment.
        "io_manager": dg.fs_io_manager.configured({}),
    },
)
