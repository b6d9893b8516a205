"""Draws where the time of one task goes, from `submit` to the client that sees its end, by its events.

Prints the median of each stretch over several tasks on an idle pipeline, and draws them one after another.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from scratch_service import database_env, say, table, unwind_on_terminate
from service_measures import wait
from service_targets import DagsterTarget, ours

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "performance-task.svg"
TASKS = 21
_EVENTS = """
query Events($runId: ID!) {
  logsForRun(runId: $runId) {
    ... on EventConnection { events { __typename ... on MessageEvent { timestamp stepKey } } }
  }
}
"""
_FIRST = "submitted"
# The moments between which time is told, as Dagster names them, in order, and what passes up to each.
_MOMENTS: Mapping[tuple[str, str | None], str] = {
    ("RunEnqueuedEvent", None): "asked, checked and stored",
    ("RunStartingEvent", None): "a free slot found",
    ("RunStartEvent", None): "handed to a worker that stands by",
    ("ExecutionStepStartEvent", "load_candles"): "run and plan begun",
    ("ExecutionStepSuccessEvent", "load_candles"): "load_candles",
    ("ExecutionStepStartEvent", "run_engine"): "between the ops",
    ("ExecutionStepSuccessEvent", "run_engine"): "run_engine",
    ("ExecutionStepStartEvent", "write_results"): "between the ops ",
    ("ExecutionStepSuccessEvent", "write_results"): "write_results",
    ("RunSuccessEvent", None): "run ended",
}
_SEEN = "seen by the client"
_WIDTH, _LEFT, _ROW, _BAR = 860, 250, 26, 16


def main() -> None:
    """Measures, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="also renew the picture in docs/")
    parser.add_argument(
        "--postgres", dest="database", action="store_const", const="postgres", default="sqlite"
    )
    options = parser.parse_args()
    unwind_on_terminate()
    with database_env(options.database) as database, ours(database=database) as target:
        measured = [_stretches(target) for _ in range(TASKS)]
    medians = {name: statistics.median(own[name] for own in measured[1:]) for name in measured[0]}
    say(table([(name.strip(), f"{seconds * 1e3:6.1f} ms") for name, seconds in medians.items()]))
    say(f"together {sum(medians.values()) * 1e3:.0f} ms, medians of {TASKS - 1} tasks")
    if options.docs:
        PICTURE.write_text(_svg(medians), encoding="utf-8")


def _stretches(target: DagsterTarget) -> dict[str, float]:
    """How long each stretch of one task took, in seconds."""
    before = time.time()
    task_id = target.submit()
    wait(target, [task_id])
    seen = time.time()
    moments = _moments(target.scene.ask(_EVENTS, runId=task_id)["logsForRun"]["events"])
    found, last = {}, before
    for moment, name in _MOMENTS.items():
        at = moments.get(moment, last)
        found[name], last = max(at - last, 0.0), max(at, last)
    return found | {_SEEN: seen - last}


def _moments(events: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str | None], float]:
    """When each kind of event first came, seconds since 1970."""
    found: dict[tuple[str, str | None], float] = {}
    for event in events:
        if "timestamp" in event:
            found.setdefault((event["__typename"], event["stepKey"]), float(event["timestamp"]) / 1e3)
    return found


def _svg(medians: Mapping[str, float]) -> str:
    """The stretches below one another, each beginning where the one before ends."""
    total, at, parts = sum(medians.values()), 0.0, []
    scale = (_WIDTH - _LEFT - 80) / total
    for row, (name, seconds) in enumerate(medians.items()):
        top = 44 + row * _ROW
        left, width = _LEFT + at * scale, max(seconds * scale, 1.0)
        at += seconds
        parts += [
            _text(_LEFT - 10, top + _BAR - 4, name.strip(), anchor="end"),
            f"<rect x='{left:.1f}' y='{top}' width='{width:.1f}' height='{_BAR}' rx='3' fill='#1f6feb'/>",
            _text(left + width + 6, top + _BAR - 4, f"{seconds * 1e3:.0f}"),
        ]
    height = 44 + len(medians) * _ROW + 10
    title = f"One task of 1,000 candles, milliseconds, {total * 1e3:.0f} in all"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='-16 0 {_WIDTH + 32} {height}' width='{_WIDTH}'>\n"
        f"<rect x='-16' width='{_WIDTH + 32}' height='{height}' fill='#ffffff'/>\n"
        f"{_text(0, 26, title, size=15)}\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: float, y: float, content: str, *, size: int = 13, anchor: str = "start") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-family='system-ui, sans-serif' font-size='{size}' "
        f"text-anchor='{anchor}' fill='#1f2933'>{escape(content)}</text>"
    )


if __name__ == "__main__":
    main()
