"""Which runs are let into the queue, wherever they were made; the web server looks at requests only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from dagster import DagsterInstance, DagsterRun

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.run_config import refuse_unsafe_config
from backtest_pipeline.model.tag_rules import refuse_bad_tags


@contextmanager
def gone_if_refused(instance: DagsterInstance, run: DagsterRun) -> Iterator[None]:
    """Deletes a run that cannot be submitted: nobody has been told of it, and Dagster would fail it later."""
    try:
        yield
    except Exception:
        with suppress(Exception):  # a database that fails has been told of already
            instance.delete_run(run.run_id)
        raise


def refuse_inadmissible(instance: DagsterInstance, run: DagsterRun, further_tags: Mapping[str, str]) -> None:
    """Lets runs through whose config names no environment variable, whose tags and whose origin are sound.

    Args:
        instance: whose runs there are.
        run: a run that is being submitted.
        further_tags: the tags that it is about to get.

    Raises:
        RequestInvalid: it may not run.
    """
    refuse_unsafe_config(run.run_config)
    refuse_bad_tags({**run.tags, **further_tags}, by_client=False)
    if run.root_run_id is not None or run.parent_run_id is not None:
        _refuse_foreign(instance, run)


def _refuse_foreign(instance: DagsterInstance, run: DagsterRun) -> None:
    """A further attempt is one of a task of the same job, after another attempt of it."""
    root, parent = (
        instance.get_run_by_id(run_id) if run_id else None for run_id in (run.root_run_id, run.parent_run_id)
    )
    if root is None or parent is None:
        raise RequestInvalid([("rootRunId", f"there is no run {run.root_run_id} to repeat")])
    if root.root_run_id is not None or (parent.root_run_id or parent.run_id) != root.run_id:
        raise RequestInvalid([("rootRunId", f"{root.run_id} is not the first run of {parent.run_id}")])
    if root.job_name != run.job_name:
        raise RequestInvalid([("rootRunId", f"{root.run_id} is a run of the job {root.job_name}")])
