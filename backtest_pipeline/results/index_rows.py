"""What the index of manifests keeps of each: one row a task."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from backtest_pipeline.model.checks import all_passed
from backtest_pipeline.model.manifest import of_another_system
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.task_kind import backtest_of
from backtest_pipeline.results.catalog import refuse_foreign
from backtest_pipeline.results.task_filter import SEPARATOR, metric_column
from backtest_pipeline.storage.layout import Layout

Look = tuple[int, int]
"""Time of the last change, in nanoseconds, and size of a manifest."""

_SHORT = 300
_LEADING: Mapping[str, str] = {
    "task_id": "TEXT PRIMARY KEY",
    "mtime_ns": "INTEGER",
    "size": "INTEGER",
    "kind": "TEXT",
    "state": "TEXT",
    "strategy": "TEXT",
    "timeframe": "TEXT",
    "submitted_at": "TEXT",
    "finished_at": "TEXT",
    "duration_ms": "INTEGER",
    "pinned": "INTEGER",
    "passed": "INTEGER",
    "problem": "TEXT",
}
_TRAILING: Mapping[str, str] = {
    "symbols": "TEXT",
    "labels": "TEXT",
    "params": "TEXT",
    "error": "TEXT",
}
_KINDS = {**_LEADING, **{metric_column(name): "REAL" for name in METRICS}, **_TRAILING}
COLUMNS = tuple(_KINDS)
TABLE = f"CREATE TABLE tasks ({', '.join(f'{name} {kind}' for name, kind in _KINDS.items())}) WITHOUT ROWID"
_OFTEN_SORTED = ("total_return", "cagr", "sharpe", "sortino", "max_drawdown", "win_rate", "trades")
INDEXES = (
    # Holds all that most filters look at, so that they read nothing else.
    (
        "CREATE INDEX newest ON tasks "
        "(problem, submitted_at DESC, task_id, state, kind, strategy, pinned, symbols, labels, params)"
    ),
    *(
        f"CREATE INDEX by_{name} ON tasks (problem, {metric_column(name)} DESC, task_id)"
        for name in _OFTEN_SORTED
    ),
)
VERSION = zlib.crc32(f"2 {TABLE} {INDEXES}".encode()) & 0x7FFFFFFF
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
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
    return {
        "kind": manifest.get("kind", "backtest"),
        "state": manifest["status"],
        "strategy": manifest["strategy_id"],
        "timeframe": manifest["timeframe"],
        "submitted_at": _utc(manifest["timestamps"]["submitted_at"]),
        "finished_at": _utc(manifest["timestamps"]["finished_at"]),
        "duration_ms": manifest["duration_ms"],
        "pinned": int(bool(manifest["pinned"])),
        "passed": all_passed(manifest.get("checks")),
        **{metric_column(name): metrics.get(name) for name in METRICS},
        "symbols": _joined(manifest["symbols"]),
        "labels": _joined(entries(labels) if isinstance(labels, dict) else []),
        "params": _joined(entries(manifest["params"])),
        "error": _short(str(error.get("message"))) if isinstance(error, dict) else None,
    }


def _utc(moment: str) -> str:
    """A moment in one form, so that texts compare as moments do."""
    return datetime.fromisoformat(moment).astimezone(UTC).isoformat(timespec="milliseconds")[:23]


def _joined(parts: Iterable[str]) -> str:
    text = SEPARATOR.join(part.replace(SEPARATOR, " ") for part in parts)
    return f"{SEPARATOR}{text}{SEPARATOR}".encode(errors="replace").decode()


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _short(text: str) -> str:
    return text[:_SHORT].encode(errors="replace").decode()
