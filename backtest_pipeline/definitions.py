"""The composition root: what Dagster loads."""

import dagster as dg

from backtest_pipeline.orchestration.backtest import backtest
from backtest_pipeline.orchestration.bench import Bench
from backtest_pipeline.settings import get_settings

definitions = dg.Definitions(
    jobs=[backtest],
    resources={"bench": dg.ResourceDefinition(lambda _: Bench(get_settings()))},
)
