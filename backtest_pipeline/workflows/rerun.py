"""Running a stored request again, and what became of its result."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import numpy as np

from backtest_pipeline.model.errors import CandlesError
from backtest_pipeline.model.manifest import CandleFingerprint, Manifest
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.task_kind import strategies_of
from backtest_pipeline.results.tables import TABLES
from backtest_pipeline.strategies.code_version import package_version
from backtest_pipeline.strategies.registry import code_sha256_of

if TYPE_CHECKING:
    import pandas as pd

    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.model.candles import Candles
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
    if changed:
        return Rerun("candles changed since", changed)
    from backtest_pipeline.workflows.run_backtest import run_backtest  # noqa: PLC0415  loads the kernel

    now = run_backtest(candles, stored.request, timezone=store.zone.key)
    difference = first_difference(stored, now)
    if difference is None:
        return Rerun("identical", remarks)
    versions = changed_code(manifest)
    if versions:
        return Rerun("code changed", [f"versions: {', '.join(versions)}", difference, *remarks])
    return Rerun("not reproducible", [f"same candles, same code: {difference}", *remarks])


def first_difference(was: BacktestResult, now: BacktestResult) -> str | None:
    """The first cell, in the order of the tables, or else the first metric that is not the very same."""
    for name in TABLES:
        difference = table_difference(getattr(was, name), getattr(now, name))
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


def with_calendar_of_then(candles: Candles, manifest: Manifest) -> tuple[Candles, list[str]]:
    """The candles with the calendar that was recorded then, and a remark where it has changed since."""
    if candles.symbol not in manifest.symbols:
        return candles, []  # of the benchmark's, no calendar is used
    if manifest.calendars is None or manifest.calendars.account.source == "requested":
        return candles, []
    was = manifest.calendars.recorded(candles.symbol)
    now = candles.recorded_calendar
    if was == now:
        return candles, []
    record = SymbolRecord.of(was) if was else None
    changed = f"{candles.symbol}: its recorded calendar was {was or 'none'}, is {now or 'none'}"
    return replace(candles, record=record), [f"{changed}; run by that of then"]


def candles_within(candles: Candles, seen: CandleFingerprint) -> Candles:
    """The rows from the first to the last moment of then, and as many before as warmed strategies up.

    A manifest knows moments to the millisecond.
    """
    first = np.datetime64(seen.first.replace(tzinfo=None), "us")
    after = np.datetime64((seen.last + timedelta(milliseconds=1)).replace(tzinfo=None), "us")
    start, stop = np.searchsorted(candles.timestamp, [first, after], side="left")
    return candles.slice(max(int(start) - seen.warmup_rows, 0), int(stop))


def is_of(candles: Candles, seen: CandleFingerprint) -> bool:
    """Whether candles, those of the warm-up first, are those of then."""
    if len(candles) <= seen.warmup_rows:
        return False
    return CandleFingerprint.of(candles, seen.warmup_rows).has_bytes_of(seen)


def candle_change(seen: CandleFingerprint, now: Candles, within: Candles, warmup_rows: int = 0) -> str:
    """What has become of a symbol's candles, for people.

    Args:
        seen: those of then.
        now: those of now.
        within: those of now that `candles_within` chooses.
        warmup_rows: how many of `now` lie before what was traded.
    """
    fresh = CandleFingerprint.of(now, min(warmup_rows, len(now) - 1))
    added = len(within) - seen.rows - seen.warmup_rows
    if added:
        inside = f"{abs(added):,} {'more' if added > 0 else 'fewer'} rows within that range"
    elif within.slice(seen.warmup_rows, len(within)).fingerprint() == seen.sha256:
        inside = f"the {seen.warmup_rows:,} rows before it, which warm the strategy up, are others"
    else:
        inside = "as many rows within that range, with other values or at other moments"
    return (
        f"{seen.symbol}: had {seen.rows:,} rows from {seen.first} to {seen.last}, "
        f"has {fresh.rows:,} from {fresh.first} to {fresh.last}; {inside}"
    )


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
