"""What becomes of an error in an op: our message first, a retry where it may help, a manifest at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import AttemptSuperseded, BacktestError, RequestInvalid, StrategyFaulty
from backtest_pipeline.model.manifest import FinalState, TaskErrorRecord
from backtest_pipeline.model.retries import retries_left
from backtest_pipeline.model.source_place import trace_of
from backtest_pipeline.orchestration.dagster_internals.names import DagsterExecutionInterruptedError
from backtest_pipeline.orchestration.dagster_internals.run_storage import is_of_database
from backtest_pipeline.orchestration.tasks.attempts import Attempt
from backtest_pipeline.orchestration.tasks.manifests import unfinished_manifest
from backtest_pipeline.orchestration.tasks.progress_tags import ProgressTags
from backtest_pipeline.orchestration.tasks.run_context import TaskContext
from backtest_pipeline.orchestration.tasks.timeouts import timed_out


@contextmanager
def reported(context: dg.OpExecutionContext, stage: str) -> Iterator[None]:
    """Runs an op's work and reports its failure in our words.

    An error of ours is retried if it says so; trouble with disks, memory and databases is, as it may pass;
    anything else is not, as the same code on the same candles would fail again.
    """
    try:
        yield
    except DagsterExecutionInterruptedError:
        _record_interruption(context, stage)
        raise
    except AttemptSuperseded as error:
        raise dg.Failure(str(error), allow_retries=False) from None  # the task goes on without this attempt
    except BacktestError as error:
        _log_trace(context, error)
        raise _failure(context, stage, error, str(error), retryable=_may_pass(error)) from None
    except Exception as error:
        if isinstance(error, OSError | MemoryError) or is_of_database(error):
            message = f"{stage} failed: {str(error).partition(chr(10))[0]}"
            raise _failure(context, stage, error, message, retryable=True) from error
        message = f"{stage} failed unexpectedly: {error!r}"
        raise _failure(context, stage, error, message, retryable=False) from error


def _may_pass(error: BacktestError) -> bool:
    """Whether another attempt may succeed: as the error says, or a strategy met a full disk or memory."""
    return error.retryable or (
        isinstance(error, StrategyFaulty) and isinstance(error.__cause__, OSError | MemoryError)
    )


def _failure(
    context: dg.OpExecutionContext, stage: str, error: Exception, message: str, *, retryable: bool
) -> dg.Failure:
    """Writes down what happened as far as the disk and the database let it, and makes the op's failure."""
    retried = retryable and _retries_left(context)
    record = TaskErrorRecord(
        type=type(error).__name__, message=message, retryable=retryable, stage=stage, **_place_of(error)
    )
    run_tags = {tags.STAGE: f"failed: {stage}", tags.ERROR: message, tags.RESULT_PATH: ""}
    if not retried:
        run_tags[tags.MAX_RETRIES] = "0"
        with _left_to_the_sensor(context):
            publish_unfinished(context, "failed", record)
    with _left_to_the_sensor(context):
        ProgressTags(context.instance, context.run_id).write(run_tags)
    return dg.Failure(message, {"error": record.type}, allow_retries=False)


def _log_trace(context: dg.OpExecutionContext, error: BacktestError) -> None:
    """Logs what a strategy's error went through, of which the message shows one line."""
    if isinstance(error, StrategyFaulty) and error.__cause__ is not None:
        context.log.error("the traceback of strategy %s:\n%s", error.strategy, trace_of(error.__cause__))


def _place_of(error: Exception) -> dict[str, Any]:
    """Where a strategy has raised, as fields of the record."""
    place = error.place if isinstance(error, StrategyFaulty) else None
    return {} if place is None else {"file": place.file, "line": place.line, "source": place.source or None}


def _record_interruption(context: dg.OpExecutionContext, stage: str) -> None:
    """A worker is interrupted by a cancellation, at the timeout, or because the service stops."""
    record = context.instance.get_run_record_by_id(context.run_id)
    if record is None or record.dagster_run.status != dg.DagsterRunStatus.CANCELING:
        return  # not final
    if timed_out(record, time.time()):
        return  # reported by whoever declares the timeout
    with _left_to_the_sensor(context):
        publish_unfinished(context, "cancelled", None)
    with _left_to_the_sensor(context):
        ProgressTags(context.instance, context.run_id).write({tags.STAGE: f"cancelled: {stage}"})


@contextmanager
def _left_to_the_sensor(context: dg.OpExecutionContext) -> Iterator[None]:
    """Goes on when an end cannot be written down: the sensor `final_states` will do it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  the task's own error is the one to report
        context.log.warning("the end of the attempt could not be written down: %r", error)


def publish_unfinished(
    context: dg.OpExecutionContext, status: FinalState, error: TaskErrorRecord | None
) -> None:
    """Publishes the manifest of a task that did not complete, unless nothing can be said of its request."""
    run_context: TaskContext = context.resources.run_context
    try:
        asked = run_context.asked(context.op_config)
    except RequestInvalid:
        return
    manifest = unfinished_manifest(
        Attempt.of(context.instance, context.run_id),
        asked,
        status=status,
        error=error,
        finished_at=datetime.now(UTC),
        ttl_days=run_context.ttl_days,
        submitted_code=context.run.tags.get(tags.SUBMITTED_CODE) or None,
    )
    with run_context.task_store.staging(context.run_id) as staged:
        run_context.task_store.publish(manifest, staged)


def _retries_left(context: dg.OpExecutionContext) -> bool:
    attempt = len(Attempt.of(context.instance, context.run_id).run_ids)
    return retries_left(context.run.tags, attempt) is True
