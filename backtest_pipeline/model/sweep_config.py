"""A sweep as the run config of the job `sweep`, and back.

The config is the request itself; only the backtest in it is written as that of the job `backtest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.run_config import as_asked, to_run_config
from backtest_pipeline.model.sweep_request import SweepRequest


def to_sweep_config(request: SweepRequest) -> dict[str, Any]:
    """The run config that asks for this sweep."""
    return {**request.to_dict(), "backtest": to_run_config(request.backtest)}


def sweep_as_asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a sweep as a run config has them, unchecked: for the record of a refused one.

    Raises:
        RequestInvalid: there is no backtest, or not exactly one strategy is selected.
    """
    backtest = config.get("backtest")
    if not isinstance(backtest, Mapping):
        raise RequestInvalid([("backtest", "say what to vary something of")])
    return {**config, "backtest": as_asked(backtest)}


def from_sweep_config(config: Mapping[str, Any]) -> SweepRequest:
    """The sweep that a run config asks for.

    Raises:
        RequestInvalid: a field is wrong, or not exactly one strategy is selected.
    """
    return SweepRequest(**sweep_as_asked(config))
