"""Dagster's statuses of runs by the state of a task that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from dagster import DagsterRun, DagsterRunStatus

from backtest_pipeline.model.status import FINAL_STATES, STATE_OF, TaskState

STATUSES: Mapping[TaskState, list[DagsterRunStatus]] = MappingProxyType(
    {
        state: [status for status in DagsterRunStatus if STATE_OF[status.value] == state]
        for state in get_args(TaskState)
    }
)
ENDED = [status for state in STATUSES if state in FINAL_STATES for status in STATUSES[state]]
UNFINISHED = [status for status in DagsterRunStatus if status not in ENDED]


def state_of(run: DagsterRun) -> TaskState:
    """The state that a run alone stands for: of a task whose only attempt it is and stays."""
    return STATE_OF[run.status.value]
