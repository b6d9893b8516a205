"""The composition root: what Dagster loads."""

import dagster as dg

from backtest_pipeline.orchestration.backtest import backtest
from backtest_pipeline.orchestration.bench import Bench
from backtest_pipeline.orchestration.final_states import final_states
from backtest_pipeline.settings import get_settings

definitions = dg.Definitions(
    jobs=[backtest],
    sensors=[final_states],
    resources={"bench": dg.ResourceDefinition(lambda _: Bench(get_settings()))},
)
