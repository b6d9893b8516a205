"""The jobs whose runs are attempts of tasks, and what is common to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.jobs.backtest import backtest
from backtest_pipeline.orchestration.jobs.sweep import sweep
from backtest_pipeline.orchestration.jobs.walk_forward import walk_forward
from backtest_pipeline.orchestration.tasks.run_context import RunContext, TaskContext
from backtest_pipeline.orchestration.tasks.sweep_context import SweepContext
from backtest_pipeline.orchestration.tasks.walk_forward_context import WalkForwardContext
from backtest_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class TaskJob:
    """A job that runs one kind of task.

    Attributes:
        definition: Dagster's.
        new_context: makes what is known of a run.
    """

    definition: dg.JobDefinition
    new_context: Callable[[Settings], TaskContext]

    def filled_in(self, run_config: Mapping[str, Any]) -> dict[str, Any]:
        """A run config as the ops see it, with every default of the form.

        Raises:
            DagsterInvalidConfigError: it does not fit the form.
        """
        ops: Mapping[str, Any] = dg.validate_run_config(self.definition, dict(run_config))["ops"]
        config: dict[str, Any] = ops["load_candles"]["config"]
        return config


TASK_JOBS: Mapping[str, TaskJob] = MappingProxyType(
    {
        tags.JOB: TaskJob(backtest, RunContext),
        tags.SWEEP_JOB: TaskJob(sweep, SweepContext),
        tags.WALK_FORWARD_JOB: TaskJob(walk_forward, WalkForwardContext),
    }
)
