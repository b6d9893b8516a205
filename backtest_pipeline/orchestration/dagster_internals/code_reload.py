"""Code that has changed on disk since it was loaded: whether there is any, and how it is imported anew."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import invalidate_caches
from importlib.util import cache_from_source, find_spec
from pathlib import Path

_OURS = "backtest_pipeline."
_STAYS = {  # what this server itself runs on
    "backtest_pipeline.orchestration",
    "backtest_pipeline.orchestration.dagster_internals",
    "backtest_pipeline.orchestration.processes",
    "backtest_pipeline.orchestration.tasks",
    "backtest_pipeline.orchestration.tasks.deferred",
    "backtest_pipeline.orchestration.processes.code_server",
    "backtest_pipeline.orchestration.dagster_internals.code_reload",
    "backtest_pipeline.orchestration.dagster_internals.code_server_command",
    "backtest_pipeline.orchestration.dagster_internals.compat",
    "backtest_pipeline.orchestration.dagster_internals.handed_runs",
    "backtest_pipeline.orchestration.dagster_internals.instance_databases",
    "backtest_pipeline.orchestration.dagster_internals.library_server",
    "backtest_pipeline.orchestration.dagster_internals.migration_scripts",
    "backtest_pipeline.orchestration.dagster_internals.pooled_postgres",
    "backtest_pipeline.orchestration.dagster_internals.pooled_sqlite",
    "backtest_pipeline.orchestration.dagster_internals.run_storage",
    "backtest_pipeline.orchestration.dagster_internals.run_writes",
    "backtest_pipeline.orchestration.dagster_internals.run_slots",
    "backtest_pipeline.orchestration.dagster_internals.standby",
    "backtest_pipeline.orchestration.dagster_internals.standing_workers",
    "backtest_pipeline.orchestration.dagster_internals.submission_channel",
    "backtest_pipeline.orchestration.dagster_internals.warm_server",
    "backtest_pipeline.orchestration.dagster_internals.warm_workers",
    "backtest_pipeline.orchestration.dagster_internals.worker_generations",
}


class CodeOnDisk:
    """Whether the sources of what is loaded have changed since, as strategies and digests."""

    def __init__(self) -> None:
        self._seen: dict[str, str | None] = {}
        self._unusable: dict[str, str | None] = {}
        self._faulty: dict[str, float] = {}
        self._seen_faulty: dict[str, float] = {}

    def is_behind(self) -> bool:
        """Whether there is code on disk that is not loaded, and has not been tried in vain."""
        changed = changed_code()
        return bool(changed) and changed != self._unusable

    def has_settled(self) -> bool:
        """The same, once it has been as it is since the last look: files are written one after another."""
        seen, self._seen = self._seen, changed_code()
        return bool(self._seen) and self._seen == seen and self._seen != self._unusable

    def loaded(self) -> None:
        """Called when what is on disk has been loaded, or did not load so that nothing is."""
        self._seen, self._unusable = {}, {}
        self._faulty = _written_at()

    def has_been_mended(self) -> bool:
        """Whether a strategy's module was written since nothing could be loaded, and has settled."""
        written = _written_at()
        settled = written == self._seen_faulty
        self._seen_faulty = written
        return settled and written != self._faulty

    def could_not_be_loaded(self) -> dict[str, str | None]:
        """Called when what was seen last does not load, and returns it: it is not tried before it changes."""
        self._unusable = self._seen
        return self._unusable


def changed_code() -> dict[str, str | None]:
    """Digests on disk of the strategies whose sources have changed since they were loaded.

    Where none could be loaded, the code location says so, and there is nothing to compare with.
    """
    from backtest_pipeline.model.errors import BacktestError  # noqa: PLC0415  of the code that is loaded now
    from backtest_pipeline.strategies.registry import (  # noqa: PLC0415  as above
        changed_strategies,
        code_sha256_on_disk_of,
    )

    try:
        return {name: code_sha256_on_disk_of(name) for name in changed_strategies()}
    except BacktestError:
        return {}


def _written_at() -> dict[str, float]:
    """When the modules were written that strategies come from, whether or not they can be imported."""
    from backtest_pipeline.strategies.registry import strategy_modules  # noqa: PLC0415  of the code that is loaded now

    invalidate_caches()
    written = {}
    for name in strategy_modules():
        with suppress(ImportError, AttributeError, ValueError, OSError):
            spec = find_spec(name)
            if spec is not None and spec.origin is not None:
                written[name] = Path(spec.origin).stat().st_mtime
    return written


def forget_modules() -> None:
    """Make the next import read the source again, of the pipeline and of the operator's strategies.

    Compiled sources go as well: Python takes one for fresh whose source has changed within its second.
    """
    from backtest_pipeline.strategies.registry import strategy_modules, strategy_sources  # noqa: PLC0415  forgotten below

    sources = strategy_sources()
    operators = {*strategy_modules(), *sources}
    for path in sources.values():
        with suppress(OSError):
            Path(cache_from_source(str(path))).unlink()
    for name in list(sys.modules):
        if (name.startswith(_OURS) and name not in _STAYS) or name in operators:
            del sys.modules[name]
