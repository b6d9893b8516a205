"""All tasks' manifests in one pass, as a table: what was asked, with what outcome.

Reading is lenient on purpose: a manifest is not checked against its whole schema, and one that cannot be read
is reported, not fatal. `storage.verification` is the strict reader.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from backtest_pipeline.model.checks import looks_ahead
from backtest_pipeline.model.manifest import of_another_system
from backtest_pipeline.model.task_kind import backtest_of
from backtest_pipeline.quick_imports import ImportedWhenUsed
from backtest_pipeline.storage.layout import Layout

if TYPE_CHECKING:
    import pandas as pd
else:  # whoever only looks for manifests needs no table of them
    pd = ImportedWhenUsed("pandas")

COLUMNS = (
    "kind",
    "status",
    "strategy",
    "symbols",
    "timeframe",
    "start",
    "end",
    "submitted_at",
    "finished_at",
    "duration_ms",
    "attempt",
    "pinned",
    "looks_ahead",
)
"""Columns that every table of results has, before labels, parameters and metrics."""

_MOMENTS = ("submitted_at", "finished_at")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks to take; `None`: any.

    Attributes:
        state: `completed`, `failed` or `cancelled`.
        strategy: the strategy's name.
        symbol: a symbol among the task's.
        labels: labels that the task has, with their values.
        since: submitted at that moment or later.
        until: submitted at that moment or earlier.
    """

    state: str | None = None
    strategy: str | None = None
    symbol: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None

    def has(self, manifest: Mapping[str, Any]) -> bool:
        """Whether the task of this manifest is wanted."""
        labels = _labels(manifest)
        submitted_at = datetime.fromisoformat(manifest["timestamps"]["submitted_at"])
        return (
            self.state in {None, manifest["status"]}
            and self.strategy in {None, manifest["strategy_id"]}
            and (self.symbol is None or self.symbol in manifest["symbols"])
            and all(labels.get(name) == value for name, value in self.labels.items())
            and (self.since is None or submitted_at >= self.since)
            and (self.until is None or submitted_at <= self.until)
        )


@dataclass(frozen=True, slots=True)
class Catalog:
    """What there is.

    Attributes:
        manifests: parsed manifests by task id, sorted.
        unreadable: tasks whose manifest is damaged or of another version, with the reason.
    """

    manifests: dict[str, dict[str, Any]]
    unreadable: dict[str, str]


def read_catalog(
    layout: Layout, wanted: Wanted | None = None, *, task_ids: Iterable[str] | None = None
) -> Catalog:
    """Reads manifests; what is not there yet, and what is another system's, is passed over.

    Args:
        layout: where the tasks are.
        wanted: which of them to take; `None`: all.
        task_ids: only these folders are looked at; `None`: all there are.
    """
    wanted = wanted or Wanted()
    manifests: dict[str, dict[str, Any]] = {}
    unreadable: dict[str, str] = {}
    root = os.fspath(layout.tasks)
    for task_id in sorted(_folders(root) if task_ids is None else task_ids):
        try:
            with open(f"{root}/{task_id}/manifest.json", "rb") as file:  # noqa: PTH123  10 000 of them
                manifest = from_json(file.read())
            if of_another_system(manifest):
                continue
            refuse_foreign(manifest, task_id)
            if wanted.has(manifest):
                manifests[task_id] = manifest
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            unreadable[task_id] = f"{type(error).__name__}: {error}"
    return Catalog(manifests, unreadable)


def results_frame(catalog: Catalog) -> pd.DataFrame:
    """One row a task, its id the index.

    After `COLUMNS` come the labels as `label.<key>`, the parameters as `param.<name>`, then every metric as
    float. `symbols` is text, separated by commas; moments are in UTC. What a task does not have is missing
    (NaN). `attrs["unreadable"]` says which tasks could not be read, and why.
    """
    manifests = list(catalog.manifests.values())
    facts = {name: [_fact(manifest, name) for manifest in manifests] for name in COLUMNS}
    frame = pd.DataFrame(facts, index=pd.Index(list(catalog.manifests), name="task_id", dtype="str"))
    for name in _MOMENTS:
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").astype(
            pd.DatetimeTZDtype("us", "UTC")
        )
    parts = [
        frame,
        _spread(frame.index, [_labels(manifest) for manifest in manifests], "label."),
        _spread(frame.index, [manifest["params"] for manifest in manifests], "param."),
        _spread(frame.index, [manifest["metrics"] for manifest in manifests], "").astype("float64"),
    ]
    whole = pd.concat(parts, axis="columns")
    whole.attrs["unreadable"] = dict(catalog.unreadable)
    return whole


def _folders(root: str) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []


def refuse_foreign(manifest: Any, task_id: str) -> None:
    """Refuses what the table cannot be made of.

    Raises:
        ValueError, TypeError, AttributeError, KeyError: the manifest is none of ours.
    """
    if manifest["schema_version"] != 1:
        raise ValueError(f"schema version {manifest['schema_version']!r}, not 1")
    if manifest["task_id"] != task_id:
        raise ValueError(f"the manifest of task {manifest['task_id']!r}")
    for name in ("request", "params", "metrics", "timestamps"):
        if not isinstance(manifest[name], dict):
            raise TypeError(f"{name} is no object")
    if not all(value is None or isinstance(value, int | float) for value in manifest["metrics"].values()):
        raise TypeError("a metric is no number")
    if not all(isinstance(symbol, str) for symbol in manifest["symbols"]):
        raise TypeError("a symbol is no text")
    for name in COLUMNS:
        _fact(manifest, name)
    for name in _MOMENTS:
        datetime.fromisoformat(manifest["timestamps"][name])


def _fact(manifest: Mapping[str, Any], column: str) -> Any:
    if column in _MOMENTS:
        return manifest["timestamps"][column]
    if column == "looks_ahead":
        return looks_ahead(manifest.get("checks") or {})
    if column == "kind":
        return manifest.get("kind", "backtest")  # an old manifest does not say
    if column == "symbols":
        return ",".join(manifest["symbols"])
    return manifest["strategy_id" if column == "strategy" else column]


def _labels(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The task's labels; a refused request may have anything in their place."""
    labels = backtest_of(manifest["request"]).get("labels")
    return labels if isinstance(labels, dict) else {}


def _spread(index: pd.Index[str], values: list[dict[str, Any]], prefix: str) -> pd.DataFrame:
    """A column for every key that any of the mappings has, in the order in which they come."""
    keys = list(dict.fromkeys(key for one in values for key in one))
    return pd.DataFrame({f"{prefix}{key}": [one.get(key) for one in values] for key in keys}, index=index)
