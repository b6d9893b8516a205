"""Running a stored request again, and what became of its result."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import numpy as np

from backtest_pipeline.model.errors import CandlesError
from backtest_pipeline.model.task_kind import strategies_of
from backtest_pipeline.results.tables import tables_of
from backtest_pipeline.strategies.code_version import package_version
from backtest_pipeline.strategies.registry import code_sha256_of
from backtest_pipeline.workflows.execution_data_of_then import execution_data_of_then
from backtest_pipeline.workflows.rerun_candles import (
    candle_change,
    candles_within,
    is_of,
    with_calendar_of_then,
)

if TYPE_CHECKING:
    import pandas as pd

    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.result import BacktestResult

Verdict = Literal["identical", "candles changed since", "code changed", "not reproducible"]


@dataclass(frozen=True, slots=True)
class Rerun:
    """What a second run says of the first.

    Attributes:
        verdict: `identical` also where candles were only added around those of then.
        details: what exactly, as sentences.
    """

    verdict: Verdict
    details: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the result came out the same."""
        return self.verdict == "identical"


def rerun(stored: BacktestResult, manifest: Manifest, store: CandleStore) -> Rerun:
    """Runs a completed task's request on the stored candles and compares every value.

    Raises:
        BacktestError: the strategy is not installed here, refuses the parameters or fails.
    """
    candles, remarks, changed = candles_of_backtest(stored, manifest, store)
    data, changed_data = execution_data_of_then(manifest, store)
    changed += changed_data
    if changed:
        return Rerun("candles changed since", changed)
    from backtest_pipeline.workflows.run_backtest import run_backtest  # noqa: PLC0415  loads the kernel

    now = run_backtest(candles, stored.request, timezone=store.zone.key, **data.of(stored.request))
    difference = first_difference(stored, now)
    if difference is None:
        return Rerun("identical", remarks)
    versions = changed_code(manifest)
    if versions:
        return Rerun("code changed", [f"versions: {', '.join(versions)}", difference, *remarks])
    return Rerun("not reproducible", [f"same candles, same code: {difference}", *remarks])


def first_difference(was: BacktestResult, now: BacktestResult) -> str | None:
    """The first cell, in the order of the tables, or else the first metric that is not the very same."""
    before_tables, after_tables = tables_of(was), tables_of(now)
    for name in {**before_tables, **after_tables}:
        if name not in before_tables or name not in after_tables:
            return f"{name}.parquet {'is no longer made' if name in before_tables else 'was not made'}"
        difference = table_difference(before_tables[name], after_tables[name])
        if difference:
            return f"{name}.parquet, {difference}"
    for metric in {**was.metrics, **now.metrics}:
        before, after = was.metrics.get(metric), now.metrics.get(metric)
        if before != after:
            return f"metric {metric} was {before!r}, is {after!r}"
    return None


def table_difference(was: pd.DataFrame, now: pd.DataFrame) -> str:
    """The first cell that is not the very same; empty where all are."""
    rows = min(len(was), len(now))
    found: list[tuple[int, str]] = []
    for column in was.columns:
        before, after = was[column].iloc[:rows], now[column].iloc[:rows]
        apart = (before.to_numpy() != after.to_numpy()) & ~(before.isna() & after.isna()).to_numpy()
        if apart.any():
            found.append((int(np.argmax(apart)), column))
    if found:
        row, column = min(found, key=lambda one: one[0])
        return f"row {row}, {column}: was {was[column].iloc[row]!s}, is {now[column].iloc[row]!s}"
    return "" if len(was) == len(now) else f"row {rows}: had {len(was):,} rows, has {len(now):,}"


def candles_of_backtest(
    stored: BacktestResult, manifest: Manifest, store: CandleStore
) -> tuple[dict[str, Candles], list[str], list[str]]:
    """The candles that the task saw, as far as they are still there.

    Returns:
        The candles, remarks about rows that have been added around them, and what has changed in them.
    """
    request = stored.request
    candles: dict[str, Candles] = {}
    remarks, changed = [], []
    for seen in manifest.candles:
        try:
            loaded: Mapping[str, Candles] = store.load(
                [seen.symbol], request.timeframe, request.start, request.end, seen.warmup_rows
            )
        except CandlesError as error:
            changed.append(f"{seen.symbol}: {error}")
            continue
        now = loaded[seen.symbol]
        then = candles_within(now, seen)
        if is_of(then, seen):
            candles[seen.symbol], other = with_calendar_of_then(then, manifest)
            remarks += other
            if len(now) > len(then):
                remarks.append(
                    f"{seen.symbol}: {len(now) - len(then):,} rows have been added around those of then"
                )
        else:
            changed.append(candle_change(seen, now, then, seen.warmup_rows))
    return candles, remarks, changed


def changed_code(manifest: Manifest) -> list[str]:
    """What differs between the code of then and the code of now, as `name was → is`."""
    libraries = ("python", "numpy", "pandas", "pyarrow", "numba")
    now = {**_library_versions(libraries), "backtest_pipeline": package_version()}
    was = manifest.environment.model_dump(include=set(now))
    changed = [f"{name} {was[name]} → {now[name]}" for name in now if was[name] != now[name]]
    code = code_sha256_of(*strategies_of(manifest.request))
    if manifest.environment.code_sha256 != code:
        changed.append(f"code_sha256 {_short(manifest.environment.code_sha256)} → {_short(code)}")
    return changed


def _library_versions(names: tuple[str, ...]) -> dict[str, str]:
    return {name: platform.python_version() if name == "python" else version(name) for name in names}


def _short(digest: str | None) -> str:
    return "unknown" if digest is None else digest[:12]
