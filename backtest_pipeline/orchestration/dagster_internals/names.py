"""Names that Dagster keeps private and that the rest of the orchestration needs, read in 1.13.27.

Whoever needs another one adds it here, so that an upgrade finds all of them in one folder.
"""

from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import should_retry

__all__ = [
    "RUN_FAILURE_REASON_TAG",
    "DagsterExecutionInterruptedError",
    "RunFailureReason",
    "should_retry",
]
