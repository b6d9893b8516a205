"""Which runs are let into the queue, wherever they were made; the web server looks at requests only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from dagster import DagsterInstance, DagsterRun

from backtest_pipeline.model.run_config import refuse_unsafe_config
from backtest_pipeline.model.tag_rules import refuse_bad_tags
from backtest_pipeline.orchestration.tasks.attempts import refuse_foreign_attempt


@contextmanager
def gone_if_refused(instance: DagsterInstance, run: DagsterRun) -> Iterator[None]:
    """Deletes a run that cannot be submitted: nobody knows of it, and Dagster would fail it later."""
    try:
        yield
    except Exception:
        with suppress(Exception):  # a database that fails has been reported already
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
    refuse_foreign_attempt(instance, run)
