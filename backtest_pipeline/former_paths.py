"""Modules under the paths that they had before version 0.2, for code and configuration of users.

A `dagster.yaml`, a compose file, a unit file or a script that names a former path finds the module that
stands in its place: one module object under both names.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any, cast

_BUILTIN = (
    "bollinger_reversion",
    "buy_and_hold",
    "donchian_breakout",
    "ema_cross",
    "macd_cross",
    "momentum",
    "rsi_reversion",
    "sma_cross",
    "volume_long_candle",
    "volume_zone_breakout",
)
FORMER_PATHS = {
    f"backtest_pipeline.{former}": f"backtest_pipeline.{present}"
    for former, present in {
        "backtest": "workflows.run_backtest",
        "model.signals": "model.strategy",
        "orchestration.code_server": "orchestration.processes.code_server",
        "orchestration.compute_logs": "orchestration.dagster_internals.compute_logs",
        "orchestration.coordinator": "orchestration.dagster_internals.coordinator",
        "orchestration.daemon": "orchestration.processes.daemon",
        "orchestration.launcher": "orchestration.dagster_internals.launcher",
        "orchestration.web_server": "orchestration.processes.web_server",
        "storage.candle_import": "candles.importer",
        "storage.candle_store": "candles.store",
        "storage.task_store": "results.task_store",
        **{f"strategies.{name}": f"strategies.builtin.{name}" for name in _BUILTIN},
    }.items()
}


class _PresentModule:
    """A loader that answers for a former path with the module of today."""

    def __init__(self, present: ModuleSpec) -> None:
        self._present = present

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002  the import system passes it
        return import_module(self._present.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._present  # the import system has just put the former path's in its place

    def get_code(self, fullname: str) -> CodeType | None:  # noqa: ARG002  the import system passes it
        """Code for `python -m` with a former path."""
        loader = cast(Any, self._present.loader)  # of a source file, which has this method
        code: CodeType | None = loader.get_code(self._present.name)
        return code


class _FormerPaths:
    """A finder as `sys.meta_path` wants it; `importlib.abc`, which describes one, takes long to import."""

    @staticmethod
    def find_spec(fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG004
        present = FORMER_PATHS.get(fullname)
        spec = None if present is None else find_spec(present)
        if spec is None:
            return None
        return ModuleSpec(fullname, cast(Any, _PresentModule(spec)), origin=spec.origin)


def install() -> None:
    """Let former paths be imported; installed once, behind all other finders."""
    if _FormerPaths not in sys.meta_path:
        sys.meta_path.append(cast(Any, _FormerPaths))
