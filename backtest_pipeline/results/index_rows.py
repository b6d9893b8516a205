"""What the index of manifests keeps of each: one row a task."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, get_args

from pydantic_core import from_json

from backtest_pipeline.model.checks import all_passed
from backtest_pipeline.model.manifest import FinalState, of_another_system
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.space_values import PARAM, written_values
from backtest_pipeline.model.task_kind import TaskKind, backtest_of, sweep_of
from backtest_pipeline.results.catalog import refuse_foreign
from backtest_pipeline.results.task_filter import SEPARATOR, metric_column
from backtest_pipeline.storage.layout import Layout

Look = tuple[int, int]
"""Time of the last change, in nanoseconds, and size of a manifest."""

_SHORT = 300
_MOST = 2**53
_LEADING: Mapping[str, str] = {
    "task_id": "TEXT PRIMARY KEY",
    "mtime_ns": "INTEGER",
    "size": "INTEGER",
    "kind": "TEXT",
    "state": "TEXT",
    "strategy": "TEXT",
    "timeframe": "TEXT",
    "user": "TEXT",
    "first_day": "TEXT",
    "last_day": "TEXT",
    "submitted_at": "TEXT",
    "finished_at": "TEXT",
    "duration_ms": "INTEGER",
    "pinned": "INTEGER",
    "passed": "INTEGER",
    "problem": "TEXT",
    "trials": "INTEGER",
    "ranked": "INTEGER",
    "objective": "TEXT",
    "best_objective": "REAL",
}
_TRAILING: Mapping[str, str] = {
    "symbols": "TEXT",
    "labels": "TEXT",
    "params": "TEXT",
    "varied": "TEXT",
    "space": "TEXT",
    "error": "TEXT",
}
_METRIC_COLUMNS: Mapping[str, str] = {metric_column(name): name for name in METRICS}
_KINDS = {**_LEADING, **dict.fromkeys(_METRIC_COLUMNS, "REAL"), **_TRAILING}
COLUMNS = tuple(_KINDS)
# A whole look at a table of plain rows takes 25 ms for 100,000 tasks, whatever is filtered and sorted by; an
# index would make one order quicker, every first look slower, and SQLite's choice of a plan worse.
TABLE = f"CREATE TABLE tasks ({', '.join(f'{name} {kind}' for name, kind in _KINDS.items())})"
VERSION = zlib.crc32(f"3 {TABLE}".encode()) & 0x7FFFFFFF
"""Of the table; a file of another version is made anew."""


def row_of(layout: Layout, task_id: str, look: Look) -> tuple[Any, ...] | None:
    """The row of one manifest; one that cannot be read says why, and one that is gone has none."""
    empty: dict[str, Any] = dict.fromkeys(COLUMNS)
    known = {**empty, "task_id": task_id, "mtime_ns": look[0], "size": look[1]}
    try:
        manifest = from_json((layout.tasks / task_id / "manifest.json").read_bytes())
        if of_another_system(manifest):
            return tuple({**known, "problem": "another system's"}.values())
        refuse_foreign(manifest, task_id)
        facts = _facts(manifest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        return tuple({**known, "problem": _short(f"{type(error).__name__}: {error}")}.values())
    return tuple({**known, **facts}.values())


def entries(mapping: Mapping[str, Any]) -> list[str]:
    """`name=value` for each entry, values as JSON writes them, texts without quotes."""
    return [f"{name}={_plain(value)}" for name, value in mapping.items()]


def listed(text: str | None) -> list[str]:
    """The entries of a list that is kept as text."""
    return [part for part in (text or "").split(SEPARATOR) if part]


def _facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    labels = backtest_of(manifest["request"]).get("labels")
    error = manifest.get("error")
    metrics = manifest["metrics"]
    kind, state = manifest.get("kind", "backtest"), manifest["status"]
    if kind not in get_args(TaskKind) or state not in get_args(FinalState):
        raise ValueError(f"there is no {state!r} {kind!r}")
    first_day, last_day = _span(manifest)
    return {
        "kind": kind,
        "state": state,
        "strategy": _short(str(manifest["strategy_id"])),
        "timeframe": _short(str(manifest["timeframe"])),
        "user": _short(str(manifest.get("user") or "")),
        "first_day": first_day,
        "last_day": last_day,
        "submitted_at": _utc(manifest["timestamps"]["submitted_at"]),
        "finished_at": _utc(manifest["timestamps"]["finished_at"]),
        "duration_ms": min(int(manifest["duration_ms"]), _MOST),
        "pinned": int(bool(manifest["pinned"])),
        "passed": all_passed(manifest.get("checks")),
        **_search(manifest),
        **{column: _number(metrics.get(name)) for column, name in _METRIC_COLUMNS.items()},
        "symbols": _joined(manifest["symbols"]),
        "labels": _joined(entries(labels) if isinstance(labels, dict) else []),
        "params": _joined(entries(manifest["params"])),
        **_varied(manifest["request"].get("space")),
        "error": _short(str(error.get("message"))) if isinstance(error, dict) else None,
    }


def _search(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a search has and a backtest has not: how many trials, and what it has reached by its objective."""
    trials = (manifest.get("summary") or {}).get("trials")
    if not isinstance(trials, dict):
        return {}
    objective = sweep_of(manifest["request"]).get("objective")
    return {
        "trials": min(sum(int(count) for state, count in trials.items() if state != "ranked"), _MOST),
        "ranked": min(int(trials.get("ranked", 0)), _MOST),
        "objective": _short(str(objective)),
        "best_objective": _number(manifest["metrics"].get(objective)),
    }


def _varied(space: object) -> dict[str, str]:
    """The names that a sweep varies, and each with its values for people; a backtest varies none."""
    values = {key.removeprefix(PARAM): own for key, own in space.items()} if isinstance(space, dict) else {}
    written = {name: written_values(own) for name, own in values.items()}
    return {"varied": _joined(values), "space": _joined(f"{name}: {text}" for name, text in written.items())}


def _span(manifest: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """First and last day that were backtested: what was asked for, as far as there were candles."""
    asked_first, asked_last = (
        str(manifest[name])[:10] if manifest[name] else None for name in ("start", "end")
    )
    traded = [seen for seen in manifest.get("candles") or [] if seen["symbol"] in manifest["symbols"]]
    firsts = [one for one in (asked_first, min((seen["first"][:10] for seen in traded), default=None)) if one]
    lasts = [one for one in (asked_last, max((seen["last"][:10] for seen in traded), default=None)) if one]
    return max(firsts, default=None), min(lasts, default=None)


def _utc(moment: str) -> str:
    """A moment in one form, so that texts compare as moments do."""
    return datetime.fromisoformat(moment).astimezone(UTC).isoformat(timespec="milliseconds")[:23]


def _joined(parts: Iterable[str]) -> str:
    text = SEPARATOR.join(part.replace(SEPARATOR, " ") for part in parts)
    return f"{SEPARATOR}{text}{SEPARATOR}".encode(errors="replace").decode()


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _short(text: str) -> str:
    return text[:_SHORT].encode(errors="replace").decode()
