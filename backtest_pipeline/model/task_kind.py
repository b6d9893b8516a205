"""The kinds of tasks, and what the requests of all kinds have in common, by their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

TaskKind = Literal["backtest", "sweep", "walk_forward"]


def kind_of(request: Mapping[str, Any]) -> TaskKind:
    """The kind of task that a request, or a run config, asks for."""
    if isinstance(request.get("sweep"), Mapping):
        return "walk_forward"
    return "sweep" if isinstance(request.get("backtest"), Mapping) else "backtest"


def kind_of_job(job: str) -> TaskKind:
    """The kind of task that a job runs: they are called alike."""
    kinds: dict[str, TaskKind] = {"sweep": "sweep", "walk_forward": "walk_forward"}
    return kinds.get(job, "backtest")


def sweep_of(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The sweep that is asked for, or that runs in each fold; a backtest's own request."""
    in_folds = request.get("sweep")
    return in_folds if isinstance(in_folds, Mapping) else request


def backtest_of(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The backtest that is asked for, or of which something is varied."""
    sweep = sweep_of(request)
    varied = sweep.get("backtest")
    return varied if isinstance(varied, Mapping) else sweep


def strategies_of(request: Mapping[str, Any]) -> list[str]:
    """The strategies that a request may run."""
    return _varied_strategies(request) or [str(backtest_of(request)["strategy"])]


def strategies_of_config(config: Mapping[str, Any]) -> list[str]:
    """The strategies that a run config may run; none where it does not select exactly one."""
    selected = backtest_of(config).get("strategy")
    only = [str(name) for name in selected] if isinstance(selected, Mapping) and len(selected) == 1 else []
    return _varied_strategies(config) or only


def _varied_strategies(request: Mapping[str, Any]) -> list[str]:
    space = sweep_of(request).get("space")
    varied = space.get("strategy") if isinstance(space, Mapping) else None
    return [str(name) for name in varied] if isinstance(varied, list | tuple) else []
