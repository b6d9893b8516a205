"""The ops of a job that searches: load candles, run the trials, write the results.

Annotations are evaluated here (no future import): Dagster reads them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.model.task_kind import strategies_of
from backtest_pipeline.orchestration.jobs.presets import OWNER
from backtest_pipeline.orchestration.tasks.attempts import Attempt
from backtest_pipeline.orchestration.tasks.deferred import later
from backtest_pipeline.orchestration.tasks.failures import reported
from backtest_pipeline.orchestration.tasks.progress_tags import ProgressTags
from backtest_pipeline.orchestration.tasks.publication import Publication
from backtest_pipeline.orchestration.tasks.report_publishing import once_ended
from backtest_pipeline.orchestration.tasks.run_page import candle_lines, execution_data_lines
from backtest_pipeline.orchestration.tasks.submitted_code import CodeOfRun, code_of_run
from backtest_pipeline.settings import get_settings
from backtest_pipeline.workflows.record_in_ledger import record_in_ledger


@dataclass(frozen=True, slots=True)
class SearchKind:
    """What distinguishes one kind of search from another.

    Attributes:
        job: name of the job.
        ops: names of its three ops, which are unique over all jobs, unlike those of steps.
        new_context: makes what a run works on.
        tags_of: the tags by which a task is found, of its request.
        prepare: looks at what has been loaded before anything runs; what it yields is logged.
        report: makes, of a run's progress and its request, what takes note of each chunk.
        lines: what is worth knowing of the trials, of request and tally.
        manifest_of: makes the record of a completed task.
        page_of: makes what Dagster's catalog shows, of manifest, request and folder.
        after: what is added once the task has completed.
    """

    job: str
    ops: tuple[str, str, str]
    new_context: Callable[[Any], Any]
    tags_of: Callable[[Any], dict[str, str]]
    prepare: Callable[[Any, Mapping[str, Any]], Sequence[str]]
    report: Callable[[ProgressTags, Any], Callable[[Any], None]]
    lines: Callable[[Any, Any], list[str]]
    manifest_of: Callable[..., Manifest]
    page_of: Callable[[Manifest, Any, Path], dg.AssetMaterialization]
    after: Sequence[Callable[..., None]]


def search_job(kind: SearchKind, form: Mapping[str, dg.Field], description: str) -> dg.JobDefinition:
    """The job of a kind of search.

    Args:
        kind: which.
        form: its config schema.
        description: what the launchpad says.
    """
    load_candles = _loading(kind, form).alias("load_candles")
    run_trials = _running(kind, form).alias("run_trials")
    write_results = _writing(kind, form).alias("write_results")

    @dg.resource(description="the run's request, its candles and what its trials have yielded")
    def search_context(_: dg.InitResourceContext) -> Iterator[Any]:
        made = kind.new_context(get_settings())
        try:
            yield made
        finally:
            made.release()

    @dg.job(
        name=kind.job,
        description=description,
        metadata={"owner": OWNER},
        config=dg.ConfigMapping(
            lambda config: {
                "ops": {op: {"config": config} for op in ("load_candles", "run_trials", "write_results")}
            },
            config_schema=form,
        ),
        executor_def=dg.in_process_executor,
        resource_defs={"run_context": search_context},
    )
    def search() -> None:
        write_results(run_trials(load_candles()))

    return search


def _loading(kind: SearchKind, form: Mapping[str, dg.Field]) -> dg.OpDefinition:
    """The op that checks the request and loads its candles."""

    @dg.op(
        name=kind.ops[0],
        config_schema=form,
        out=dg.Out(dg.Nothing),
        required_resource_keys={"run_context"},
        description="Checks the request and loads the candles of all its trials, nothing else.",
    )
    def load_candles(context: dg.OpExecutionContext) -> None:
        own = context.resources.run_context
        with reported(context, "loading candles"):
            request = own.request(context.op_config)
            written = {
                **kind.tags_of(request),
                tags.CODE: _code(context).ran or "",
                tags.PROGRESS: "0.00",
                tags.STAGE: "loading candles",
            }
            ProgressTags(context.instance, context.run_id).write(written)
            for timeframe, loaded in own.loaded(context.op_config).items():
                for line in candle_lines(loaded):
                    context.log.info(f"{timeframe} {line}")
            for line in execution_data_lines(own.execution_data(context.op_config)):
                context.log.info(line)
            for line in kind.prepare(own, context.op_config):
                context.log.info(line)

    return load_candles


def _running(kind: SearchKind, form: Mapping[str, dg.Field]) -> dg.OpDefinition:
    """The op that runs what is not done yet."""

    @dg.op(
        name=kind.ops[1],
        config_schema=form,
        ins={"candles": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        required_resource_keys={"run_context"},
        description="Runs every trial that is not done yet, a chunk at a time, in worker processes.",
    )
    def run_trials(context: dg.OpExecutionContext) -> None:
        own = context.resources.run_context
        with reported(context, "running trials"):
            request = own.request(context.op_config)
            progress = kind.report(ProgressTags(context.instance, context.run_id), request)
            tally = own.trials(context.op_config, _code_key(context), progress)
            for line in kind.lines(request, tally):
                context.log.info(line)

    return run_trials


def _writing(kind: SearchKind, form: Mapping[str, dg.Field]) -> dg.OpDefinition:
    """The op that publishes what has come of it."""

    @dg.op(
        name=kind.ops[2],
        config_schema=form,
        ins={"trials": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        required_resource_keys={"run_context"},
        description="Puts chunks together and publishes tables and manifest in the task's folder.",
    )
    def write_results(context: dg.OpExecutionContext) -> None:
        own, config = context.resources.run_context, context.op_config
        with reported(context, "writing results"):
            request, code = own.request(config), _code(context)
            attempt = Attempt.of(context.instance, context.run_id)

            def write(folder: Path) -> list[ResultFile]:
                files: list[ResultFile] = own.write(folder, config, _code_key(context)).files
                return files

            def manifest_of(_: list[ResultFile]) -> Manifest:
                tally, written = own.outcome()
                return kind.manifest_of(
                    attempt,
                    request,
                    tally,
                    written,
                    candles=own.fingerprints(config),
                    data=own.execution_data(config),
                    finished_at=datetime.now(UTC),
                    ttl_days=own.ttl_days,
                    remarks=code.remarks,
                    submitted_code=code.submitted,
                )

            user = context.run.tags.get(tags.USER, "")
            publication = Publication(
                own.task_store,
                attempt,
                write=write,
                manifest_of=manifest_of,
                refuse=partial(attempt.refuse_given_up, context.instance),
                record=partial(record_in_ledger, own.task_store.layout, user=user),
            )
            manifest, folder = publication.publish()
            context.log_event(kind.page_of(manifest, request, folder))
            progress = ProgressTags(context.instance, context.run_id)
            progress.write({tags.PROGRESS: "1.00", tags.STAGE: "completed", tags.RESULT_PATH: str(folder)})
            publication.keep()
            later(publication.keep_after_success)
            later(own.forget_parts)
            once_ended(context.instance, *(partial(add, own.task_store, manifest) for add in kind.after))

    return write_results


def _code(context: dg.OpExecutionContext) -> CodeOfRun:
    """The code of all strategies that a trial may have."""
    request = context.resources.run_context.request(context.op_config)
    return code_of_run(strategies_of(request.to_dict()), context.run.tags)


def _code_key(context: dg.OpExecutionContext) -> str:
    """What tells code from other code; where it has no digest, only that of this task is known to be it."""
    return _code(context).ran or context.run.root_run_id or context.run_id
