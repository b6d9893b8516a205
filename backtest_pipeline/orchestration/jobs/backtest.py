"""The job `backtest`: load candles, run the engine, write the results.

Annotations are evaluated here (no future import): Dagster reads them.
"""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.orchestration.jobs.launch_form import launch_form
from backtest_pipeline.orchestration.jobs.presets import OWNER, presets_text
from backtest_pipeline.orchestration.tasks.attempts import Attempt
from backtest_pipeline.orchestration.tasks.deferred import later
from backtest_pipeline.orchestration.tasks.failures import reported
from backtest_pipeline.orchestration.tasks.manifests import completed_manifest
from backtest_pipeline.orchestration.tasks.progress_tags import ProgressTags
from backtest_pipeline.orchestration.tasks.publication import Publication
from backtest_pipeline.orchestration.tasks.report_publishing import (
    add_chart,
    add_report,
    add_robustness,
    once_ended,
)
from backtest_pipeline.orchestration.tasks.run_context import RunContext
from backtest_pipeline.orchestration.tasks.run_page import (
    candle_lines,
    execution_data_lines,
    materialization,
    request_tags,
    result_lines,
)
from backtest_pipeline.orchestration.tasks.submitted_code import code_of_run
from backtest_pipeline.results.disk_usage import require_room
from backtest_pipeline.strategies.code_version import code_sha256
from backtest_pipeline.strategies.registry import strategies
from backtest_pipeline.web.addresses import RESULTS
from backtest_pipeline.workflows.record_in_ledger import record_in_ledger

_STRATEGIES = strategies()
_FORM = launch_form(_STRATEGIES)


@dg.op(
    config_schema=_FORM,
    out=dg.Out(dg.Nothing),
    required_resource_keys={"run_context"},
    description="Checks the request and loads the candles that it needs, nothing else.",
)
def load_candles(context: dg.OpExecutionContext) -> None:
    run_context: RunContext = context.resources.run_context
    with reported(context, "loading candles"):
        request = run_context.request(context.op_config)
        code = code_of_run(request.strategy, context.run.tags)
        progress = ProgressTags(context.instance, context.run_id)
        progress.write(
            {
                **request_tags(request),
                tags.CODE: code.ran or "",
                tags.PROGRESS: "0.00",
                tags.STAGE: "loading candles",
            }
        )
        loaded = run_context.loaded(context.op_config)
        for line in [
            *candle_lines(loaded),
            *execution_data_lines(run_context.execution_data(context.op_config)),
        ]:
            context.log.info(line)
        require_room(run_context.task_store.layout.data_root, sum(seen.rows for seen in loaded.fingerprints))


@dg.op(
    config_schema=_FORM,
    ins={"candles": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    required_resource_keys={"run_context"},
    description="Computes signals, simulates every fill and measures the outcome.",
)
def run_engine(context: dg.OpExecutionContext) -> None:
    run_context: RunContext = context.resources.run_context
    with reported(context, "running the engine"):
        progress = ProgressTags(context.instance, context.run_id)
        traded = run_context.request(context.op_config).symbols
        fingerprints = run_context.loaded(context.op_config).fingerprints
        bars = sum(seen.rows for seen in fingerprints if seen.symbol in traded)
        result = run_context.result(context.op_config, progress.part(0.1, 0.9, bars))
        for line in result_lines(result):
            context.log.info(line)


@dg.op(
    config_schema=_FORM,
    ins={"result": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    required_resource_keys={"run_context"},
    description="Publishes signals, trades, equity and the manifest in the task's folder.",
)
def write_results(context: dg.OpExecutionContext) -> None:
    run_context: RunContext = context.resources.run_context
    with reported(context, "writing results"):
        code = code_of_run(run_context.request(context.op_config).strategy, context.run.tags)
        result, loaded = run_context.result(context.op_config), run_context.loaded(context.op_config)
        result.diagnostics.extend(code.remarks)
        attempt = Attempt.of(context.instance, context.run_id)

        def write(folder: Path) -> list[ResultFile]:
            return run_context.task_store.write_tables(folder, result)

        def manifest_of(files: list[ResultFile]) -> Manifest:
            return completed_manifest(
                attempt,
                result,
                files=files,
                candles=loaded.fingerprints,
                data=run_context.execution_data(context.op_config),
                finished_at=datetime.now(UTC),
                ttl_days=run_context.ttl_days,
                submitted_code=code.submitted,
            )

        publication = Publication(
            run_context.task_store,
            attempt,
            write=write,
            manifest_of=manifest_of,
            refuse=partial(attempt.refuse_given_up, context.instance),
            record=partial(
                record_in_ledger, run_context.task_store.layout, user=context.run.tags.get(tags.USER, "")
            ),
        )
        manifest, folder = publication.publish()
        context.log_event(materialization(manifest, result, folder))
        progress = ProgressTags(context.instance, context.run_id)
        progress.write({tags.PROGRESS: "1.00", tags.STAGE: "completed", tags.RESULT_PATH: str(folder)})
        publication.keep()
        later(publication.keep_after_success)
        drawn = (run_context.task_store, manifest, result, loaded.seen)
        once_ended(
            context.instance,
            partial(add_robustness, run_context.task_store, manifest),
            partial(add_chart, *drawn),
            partial(add_report, *drawn),
        )


@dg.job(
    name=tags.JOB,
    description=(
        "Runs one backtest. Choose a strategy and its parameters, symbols, dates, money and fills, and "
        "launch; results appear in the task's folder and on the run's page. With the tag "
        f"`{tags.REUSE}` set to `true`, an earlier run with the same result opens instead. "
        f"[All results]({RESULTS}) are in a table.\n\n" + presets_text(_STRATEGIES)
    ),
    metadata={
        "owner": OWNER,
        tags.STRATEGIES_OF_JOB: dg.MetadataValue.json(
            {name: code_sha256(strategy) for name, strategy in _STRATEGIES.items()}
        ),
    },
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
