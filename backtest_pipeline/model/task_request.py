"""Requests of every kind of task, as run configs and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.run_config import from_run_config, to_run_config
from backtest_pipeline.model.sweep_config import from_sweep_config, to_sweep_config
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.task_kind import backtest_of, kind_of
from backtest_pipeline.model.walk_forward_config import from_walk_forward_config, to_walk_forward_config
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest

TaskRequest: TypeAlias = BacktestRequest | SweepRequest | WalkForwardRequest


def config_of(request: TaskRequest) -> dict[str, Any]:
    """The run config that asks for this task."""
    if isinstance(request, WalkForwardRequest):
        return to_walk_forward_config(request)
    return to_sweep_config(request) if isinstance(request, SweepRequest) else to_run_config(request)


def backtest_in(request: TaskRequest) -> BacktestRequest:
    """The backtest that is asked for, or of which something is varied; it says how the task is treated."""
    if isinstance(request, WalkForwardRequest):
        return request.sweep.backtest
    return request.backtest if isinstance(request, SweepRequest) else request


def stored_request(fields: Mapping[str, Any]) -> TaskRequest:
    """The request of a task that has been stored, from the fields that its manifest has.

    Requests had no `warmup_bars` once, and strategies saw nothing before `start`. A request from then has
    none where one of today has them, if only as null, and is read as one that asks for 0.

    Raises:
        RequestInvalid: a field is wrong.
        TypeError: a field's name is no text.
    """
    kind = kind_of(fields)
    if kind == "walk_forward":
        return WalkForwardRequest(**fields)
    if kind == "backtest":
        return BacktestRequest(**_without_warm_up(fields, starts=fields.get("start") is not None))
    backtest, space = backtest_of(fields), fields.get("space") or {}
    starts = backtest.get("start") is not None or "start" in space
    return SweepRequest(**{**fields, "backtest": _without_warm_up(backtest, starts=starts)})


def _without_warm_up(fields: Mapping[str, Any], *, starts: bool) -> Mapping[str, Any]:
    return {"warmup_bars": 0, **fields} if starts else fields


def stored_backtest(fields: Mapping[str, Any]) -> BacktestRequest:
    """As `stored_request`, of a backtest."""
    request = stored_request(fields)
    if not isinstance(request, BacktestRequest):
        raise RequestInvalid([("", "this is the request of a search, not of a backtest")])
    return request


def stored_sweep(fields: Mapping[str, Any]) -> SweepRequest:
    """As `stored_request`, of a sweep."""
    request = stored_request(fields)
    if not isinstance(request, SweepRequest):
        raise RequestInvalid([("backtest", "this is the request of a backtest, not of a sweep")])
    return request


def stored_walk_forward(fields: Mapping[str, Any]) -> WalkForwardRequest:
    """As `stored_request`, of a walk-forward."""
    request = stored_request(fields)
    if not isinstance(request, WalkForwardRequest):
        raise RequestInvalid(
            [("sweep", "this is the request of another kind of task, not of a walk-forward")]
        )
    return request


def request_of(config: Mapping[str, Any]) -> TaskRequest:
    """The request of a run config, of whichever kind of task that is.

    Raises:
        RequestInvalid: a field is wrong, or not exactly one strategy is selected.
    """
    kind = kind_of(config)
    if kind == "walk_forward":
        return from_walk_forward_config(config)
    return from_sweep_config(config) if kind == "sweep" else from_run_config(config)
