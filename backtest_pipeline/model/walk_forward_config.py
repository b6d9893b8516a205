"""A walk-forward as the run config of the job `walk_forward`, and back.

The config is the request itself; only the sweep in it is written as that of the job `sweep`, and windows are
texts, as a form's field has one type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.sweep_config import sweep_as_asked, to_sweep_config
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest

WINDOWS = ("train", "test")


def to_walk_forward_config(request: WalkForwardRequest) -> dict[str, Any]:
    """The run config that asks for this walk-forward."""
    windows = {name: None if (value := getattr(request, name)) is None else str(value) for name in WINDOWS}
    return {**request.to_dict(), **windows, "sweep": to_sweep_config(request.sweep)}


def walk_forward_as_asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a walk-forward as a run config has them, unchecked: for the record of a refused one.

    Raises:
        RequestInvalid: there is no sweep or backtest, or not exactly one strategy is selected.
    """
    sweep = config.get("sweep")
    if not isinstance(sweep, Mapping):
        raise RequestInvalid([("sweep", "say what is to be searched in each fold")])
    return {**config, "sweep": sweep_as_asked(sweep)}


def from_walk_forward_config(config: Mapping[str, Any]) -> WalkForwardRequest:
    """The walk-forward that a run config asks for.

    Raises:
        RequestInvalid: a field is wrong, or not exactly one strategy is selected.
    """
    return WalkForwardRequest(**walk_forward_as_asked(config))
