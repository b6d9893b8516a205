"""A listed task: where it stands, from the server or from its manifest, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.checks import looks_ahead
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.space_values import PARAM, written_values
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.model.task_kind import backtest_of

if TYPE_CHECKING:
    from backtest_pipeline.storage.layout import Layout

_OF_MANIFEST = ("timeframe", "start", "end", "duration_ms", "pinned")
_SERVICE = {"labels", "max_retries", "params", "pinned", "priority", "strategy", "symbols", "timeout_s"}


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task and what it has left.

    Attributes:
        status: where it stands.
        manifest: what it has left, as it is on disk; empty where there is nothing (yet).
    """

    status: TaskStatus
    manifest: Mapping[str, Any]

    @property
    def symbols(self) -> list[str]:
        """All its symbols; a run's tag names the first ones only."""
        return list(self.manifest.get("symbols") or self.status.symbols)

    @property
    def space(self) -> Mapping[str, Any] | None:
        """What a sweep varies, as its request has it; `None` for others."""
        return self.manifest["request"].get("space") if self.manifest else None

    @property
    def looks_ahead(self) -> bool | None:
        """Whether its look-ahead check has found any."""
        return looks_ahead(self.manifest.get("checks") or {})

    def to_json(self) -> dict[str, Any]:
        """The same keys with a server and without; what is not known is null."""
        known = {name: self.manifest.get(name) for name in (*_OF_MANIFEST, "params", "metrics")}
        return {
            **self.status.model_dump(mode="json"),
            "symbols": self.symbols,
            **known,
            "space": self.space,
            "looks_ahead": self.looks_ahead,
        }

    def asked(self) -> dict[str, Any]:
        """What decides its result, by name: parameters, `label.KEY` and the fields of its request.

        Of what a sweep varies, its values in words.
        """
        if not self.manifest:
            return {f"label.{name}": value for name, value in self.status.labels.items()}
        request = backtest_of(self.manifest["request"])
        labels = request.get("labels")
        varied = {key.removeprefix(PARAM): written_values(own) for key, own in (self.space or {}).items()}
        return {
            **self.manifest["params"],
            **{f"label.{name}": value for name, value in (labels or self.status.labels).items()},
            **{name: value for name, value in request.items() if name not in _SERVICE},
            **varied,
        }

    def columns(self) -> dict[str, Any]:
        """What rows can be sorted by, by the names of `results_frame`."""
        facts = self.to_json()
        params, metrics, labels = facts.pop("params") or {}, facts.pop("metrics") or {}, facts.pop("labels")
        del facts["space"]
        return {
            **facts,
            "symbols": ",".join(self.symbols),
            **{f"label.{name}": value for name, value in labels.items()},
            **{f"param.{name}": value for name, value in params.items()},
            **metrics,
        }


def row_of_manifest(layout: Layout, manifest: Mapping[str, Any]) -> TaskRow:
    """The row of a finished task that only its folder knows."""
    state, times, environment = manifest["status"], manifest["timestamps"], manifest.get("environment") or {}
    error = manifest.get("error") or {}
    status = TaskStatus(
        task_id=manifest["task_id"],
        kind=manifest.get("kind", "backtest"),
        state=state,
        progress=float(state == "completed"),
        stage=state,
        attempt=manifest["attempt"],
        result_path=str(layout.task(manifest["task_id"]).absolute()),
        error=error.get("message"),
        submitted_at=times["submitted_at"],
        started_at=times.get("started_at"),
        finished_at=times["finished_at"],
        strategy=manifest["strategy_id"],
        symbols=manifest["symbols"],
        labels={key: str(value) for key, value in _labels(manifest).items()},
        code_sha256=environment.get("code_sha256"),
        submitted_code_sha256=environment.get("submitted_code_sha256"),
    )
    return TaskRow(status, manifest)


def sorted_rows(rows: Sequence[TaskRow], column: str | None) -> list[TaskRow]:
    """Rows by a column, `-COLUMN` the largest first, those without a value last.

    Where a metric ranks them, results that look ahead come after all others: such a one is never the best.

    Raises:
        RequestInvalid: no row has such a column.
    """
    if column is None or not rows:
        return list(rows)
    name, falling = column.removeprefix("-"), column.startswith("-")
    columns = {row.status.task_id: row.columns() for row in rows}
    known = list(dict.fromkeys(key for of_row in columns.values() for key in of_row))
    if name not in known:
        problem = f"there is no {name!r}{did_you_mean(name, known)}; choose one of {', '.join(known)}"
        raise RequestInvalid([("--sort", problem)])

    def value(row: TaskRow) -> Any:
        return columns[row.status.task_id].get(name)

    filled = [row for row in rows if value(row) is not None]
    number = all(isinstance(value(row), int | float) for row in filled)
    filled.sort(key=lambda row: value(row) if number else str(value(row)), reverse=falling)
    if name in METRICS:
        filled.sort(key=lambda row: row.looks_ahead is True)
    return filled + [row for row in rows if value(row) is None]


def differing(rows: Sequence[TaskRow]) -> dict[str, list[Any]]:
    """What was asked differently for the listed tasks: a value for each row, None where it has none.

    Rows of which nothing is known yet make no difference.
    """
    asked = [row.asked() for row in rows]
    known = [one for row, one in zip(rows, asked, strict=True) if row.manifest]
    names = dict.fromkeys(name for one in asked for name in one)
    return {
        name: [one.get(name) for one in asked]
        for name in names
        if len({repr(one.get(name)) for one in known}) > 1
        or (name.startswith("label.") and len({repr(one.get(name)) for one in asked}) > 1)
    }


def _labels(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    labels = backtest_of(manifest["request"]).get("labels")
    return labels if isinstance(labels, dict) else {}
