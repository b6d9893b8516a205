"""Requests of every kind of task, as run configs and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.run_config import from_run_config, to_run_config
from backtest_pipeline.model.sweep_config import from_sweep_config, to_sweep_config
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.task_kind import kind_of

TaskRequest: TypeAlias = BacktestRequest | SweepRequest


def config_of(request: TaskRequest) -> dict[str, Any]:
    """The run config that asks for this task."""
    return to_sweep_config(request) if isinstance(request, SweepRequest) else to_run_config(request)


def request_of(config: Mapping[str, Any]) -> TaskRequest:
    """The request of a run config, of whichever kind of task that is.

    Raises:
        RequestInvalid: a field is wrong, or not exactly one strategy is selected.
    """
    return from_sweep_config(config) if kind_of(config) == "sweep" else from_run_config(config)
