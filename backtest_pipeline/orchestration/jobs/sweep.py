"""The job `sweep`: load candles, run the trials, write the results.

Annotations are evaluated here (no future import): Dagster reads them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.model.task_kind import strategies_of
from backtest_pipeline.orchestration.jobs.presets import OWNER
from backtest_pipeline.orchestration.jobs.sweep_form import sweep_form, sweep_presets_text
from backtest_pipeline.orchestration.tasks.attempts import Attempt
from backtest_pipeline.orchestration.tasks.deferred import later
from backtest_pipeline.orchestration.tasks.failures import reported
from backtest_pipeline.orchestration.tasks.manifests import completed_sweep_manifest
from backtest_pipeline.orchestration.tasks.progress_tags import ProgressTags
from backtest_pipeline.orchestration.tasks.publication import Publication
from backtest_pipeline.orchestration.tasks.report_publishing import (
    add_robustness,
    add_sweep_picture,
    add_sweep_report,
    once_ended,
)
from backtest_pipeline.orchestration.tasks.run_page import candle_lines
from backtest_pipeline.orchestration.tasks.submitted_code import CodeOfRun, code_of_run
from backtest_pipeline.orchestration.tasks.sweep_context import SweepContext
from backtest_pipeline.orchestration.tasks.sweep_page import (
    sweep_lines,
    sweep_materialization,
    sweep_progress,
    sweep_remarks,
    sweep_tags,
)
from backtest_pipeline.results.disk_usage import require_sweep_room
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies.registry import strategies
from backtest_pipeline.web.addresses import RESULTS
from backtest_pipeline.workflows.record_in_ledger import record_in_ledger

_STRATEGIES = strategies()
_FORM = sweep_form(_STRATEGIES)


@dg.op(
    config_schema=_FORM,
    out=dg.Out(dg.Nothing),
    required_resource_keys={"run_context"},
    description="Checks the sweep and loads the candles of all its trials, nothing else.",
)
def load_sweep_candles(context: dg.OpExecutionContext) -> None:
    own: SweepContext = context.resources.run_context
    with reported(context, "loading candles"):
        request = own.request(context.op_config)
        written = {
            **sweep_tags(request),
            tags.CODE: _code(context).ran or "",
            tags.PROGRESS: "0.00",
            tags.STAGE: "loading candles",
        }
        ProgressTags(context.instance, context.run_id).write(written)
        for timeframe, loaded in own.loaded(context.op_config).items():
            for line in candle_lines(loaded):
                context.log.info(f"{timeframe} {line}")
        require_sweep_room(own.task_store.layout.data_root, request.planned_trials)


@dg.op(
    config_schema=_FORM,
    ins={"candles": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    required_resource_keys={"run_context"},
    description="Runs every trial that is not done yet, a chunk at a time, in worker processes.",
)
def run_trials(context: dg.OpExecutionContext) -> None:
    own: SweepContext = context.resources.run_context
    with reported(context, "running trials"):
        request = own.request(context.op_config)
        progress = sweep_progress(ProgressTags(context.instance, context.run_id), request)
        tally = own.trials(context.op_config, _code_key(context), progress)
        for line in sweep_lines(request, tally):
            context.log.info(line)


@dg.op(
    config_schema=_FORM,
    ins={"trials": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    required_resource_keys={"run_context"},
    description="Puts chunks together and publishes tables and manifest in the task's folder.",
)
def write_sweep_results(context: dg.OpExecutionContext) -> None:
    own: SweepContext = context.resources.run_context
    config = context.op_config
    with reported(context, "writing results"):
        request, code = own.request(config), _code(context)
        attempt = Attempt.of(context.instance, context.run_id)

        def write(folder: Path) -> list[ResultFile]:
            return own.write(folder, config, _code_key(context)).files

        def manifest_of(_: list[ResultFile]) -> Manifest:
            tally, written = own.outcome()
            return completed_sweep_manifest(
                attempt,
                request,
                tally,
                written,
                candles=own.fingerprints(config),
                finished_at=datetime.now(UTC),
                ttl_days=own.ttl_days,
                remarks=[*code.remarks, *sweep_remarks(request, tally)],
                submitted_code=code.submitted,
            )

        publication = Publication(
            own.task_store,
            attempt,
            write=write,
            manifest_of=manifest_of,
            refuse=partial(attempt.refuse_given_up, context.instance),
            record=partial(record_in_ledger, own.task_store.layout, user=context.run.tags.get(tags.USER, "")),
        )
        manifest, folder = publication.publish()
        context.log_event(sweep_materialization(manifest, request, folder))
        progress = ProgressTags(context.instance, context.run_id)
        progress.write({tags.PROGRESS: "1.00", tags.STAGE: "completed", tags.RESULT_PATH: str(folder)})
        publication.keep()
        later(publication.keep_after_success)
        later(own.forget_parts)
        adds = (add_robustness, add_sweep_picture, add_sweep_report)
        once_ended(context.instance, *(partial(add, own.task_store, manifest) for add in adds))


@dg.resource(description="the run's sweep, its candles and what its trials have yielded")
def sweep_context(_: dg.InitResourceContext) -> Iterator[SweepContext]:
    made = SweepContext(get_settings())
    try:
        yield made
    finally:
        made.release()


def _code(context: dg.OpExecutionContext) -> CodeOfRun:
    """The code of all strategies that a trial may have."""
    request = context.resources.run_context.request(context.op_config)
    return code_of_run(strategies_of(request.to_dict()), context.run.tags)


def _code_key(context: dg.OpExecutionContext) -> str:
    """What tells code from other code; where it has no digest, only that of this task is known to be it."""
    return _code(context).ran or context.run.root_run_id or context.run_id


@dg.job(
    name=tags.SWEEP_JOB,
    description=(
        "Searches over combinations of parameters and fields of a backtest. Say what to vary, how to search "
        "and which metric tells the best; every trial is a row of `trials.parquet` in the task's folder. "
        "A sweep that is cancelled or interrupted goes on where it was when the same is launched again. "
        f"[All results]({RESULTS}) are in a table.\n\n" + sweep_presets_text(_STRATEGIES)
    ),
    metadata={"owner": OWNER},
    config=dg.ConfigMapping(
        lambda config: {
            "ops": {op: {"config": config} for op in ("load_candles", "run_trials", "write_results")}
        },
        config_schema=_FORM,
    ),
    executor_def=dg.in_process_executor,
    resource_defs={"run_context": sweep_context},
)
def sweep() -> None:
    done = run_trials(
        load_sweep_candles.alias("load_candles")()
    )  # op names are unique, those of steps are not
    write_sweep_results.alias("write_results")(done)
