"""The job `backtest`: load candles, run the engine, write the results.

Annotations are evaluated here (no future import): Dagster reads them.
"""

from datetime import UTC, datetime

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.bench import Bench
from backtest_pipeline.orchestration.failures import told
from backtest_pipeline.orchestration.launch_form import launch_form
from backtest_pipeline.orchestration.progress import ProgressTags
from backtest_pipeline.orchestration.recording import Attempt, completed_manifest
from backtest_pipeline.orchestration.run_page import candle_lines, materialization, request_tags, result_lines
from backtest_pipeline.strategies.registry import strategies

_FORM = launch_form(strategies())


@dg.op(
    config_schema=_FORM,
    out=dg.Out(dg.Nothing),
    required_resource_keys={"bench"},
    description="Checks the request and loads the candles that it needs, nothing else.",
)
def load_candles(context: dg.OpExecutionContext) -> None:
    bench: Bench = context.resources.bench
    with told(context, "loading candles"):
        request = bench.request(context.op_config)
        progress = ProgressTags(context.instance, context.run_id)
        progress.write({**request_tags(request), tags.PROGRESS: "0.00", tags.STAGE: "loading candles"})
        loaded = bench.loaded(context.op_config)
        for line in candle_lines(loaded):
            context.log.info(line)


@dg.op(
    config_schema=_FORM,
    ins={"candles": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    required_resource_keys={"bench"},
    description="Computes signals, simulates every fill and measures the outcome.",
)
def run_engine(context: dg.OpExecutionContext) -> None:
    bench: Bench = context.resources.bench
    with told(context, "running the engine"):
        progress = ProgressTags(context.instance, context.run_id)
        result = bench.result(context.op_config, progress.part(0.1, 0.9))
        for line in result_lines(result):
            context.log.info(line)


@dg.op(
    config_schema=_FORM,
    ins={"result": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    required_resource_keys={"bench"},
    description="Publishes signals, trades, equity and the manifest in the task's folder.",
)
def write_results(context: dg.OpExecutionContext) -> None:
    bench: Bench = context.resources.bench
    with told(context, "writing results"), bench.task_store.staging(context.run_id) as staged:
        result = bench.result(context.op_config)
        attempt = Attempt.of(context.instance, context.run_id)
        manifest = completed_manifest(
            attempt,
            result,
            files=bench.task_store.write_tables(staged, result),
            candles=bench.loaded(context.op_config).fingerprints,
            finished_at=datetime.now(UTC),
            ttl_days=bench.ttl_days,
        )
        attempt.refuse_given_up(context.instance)
        folder = bench.task_store.publish(manifest, staged)
        context.log_event(materialization(manifest, result, folder))
        progress = ProgressTags(context.instance, context.run_id)
        progress.write({tags.PROGRESS: "1.00", tags.STAGE: "completed", tags.RESULT_PATH: str(folder)})


@dg.job(
    name=tags.JOB,
    description=(
        "Runs one backtest. Choose a strategy and its parameters, symbols, dates, money and fills, and "
        "launch; results appear in the task's folder and on the run's page."
    ),
    config=dg.ConfigMapping(
        lambda config: {
            "ops": {op: {"config": config} for op in ("load_candles", "run_engine", "write_results")}
        },
        config_schema=_FORM,
    ),
    executor_def=dg.in_process_executor,
)
def backtest() -> None:
    write_results(run_engine(load_candles()))
