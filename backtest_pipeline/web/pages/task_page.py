"""One finished task: what it was, what can be done with it, its files."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.launchpad import launchpad_path, launchpad_yaml
from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.model.metric_catalog import facts_of
from backtest_pipeline.model.task_kind import kind_of
from backtest_pipeline.model.task_request import config_of, stored_request
from backtest_pipeline.reports.html_tables import tone
from backtest_pipeline.results.manifest_index import Row
from backtest_pipeline.storage.layout import MANIFEST, REPORT
from backtest_pipeline.web.pages.html_document import name_of, outside, wide
from backtest_pipeline.web.pages.table_page import name_cell
from backtest_pipeline.web.pages.wording import Wording


def task_page(
    manifest: Manifest, row: Row, words: Wording, prefix: str, *, may_act: bool, may_pin: bool
) -> str:
    """The page's body.

    Args:
        manifest: the task's.
        row: the same in the index.
        words: of the reader's language.
        prefix: of all paths.
        may_act: whether the reader may change something.
        may_pin: whether this server can write what pins a task.
    """
    error = (
        f'<section><h2>{words("Error")}</h2><p class="loss">{name_of(manifest.error.message)}</p></section>'
        if manifest.error
        else ""
    )
    return (
        f"<h1>{name_cell(row, words, prefix)}</h1>"
        f'<p class="note">{words(manifest.kind)} · {words(manifest.status)} '
        f"{outside(row['submitted_at'])} UTC {name_of(row['user'])}"
        f" · {name_of(', '.join(manifest.symbols[:20]))} {outside(manifest.timeframe)}"
        f" · {outside(manifest.task_id)}</p>"
        f"{_actions(manifest, words, prefix, may_act=may_act, may_pin=may_pin)}{error}"
        f"{_metrics(manifest, words)}{_files(manifest, words, prefix)}"
        f"<section><h2>{words('Request')}</h2><pre>{outside_lines(manifest.request)}</pre></section>"
    )


def launch_of(request: dict[str, Any]) -> dict[str, Any] | None:
    """What Dagster's `launchRun` takes to run a request again; `None` for one that cannot be run."""
    kind = kind_of(request)
    try:
        asked = stored_request(request)
    except (BacktestError, ValidationError, TypeError):
        return None
    return {
        "selector": {
            "repositoryLocationName": tags.CODE_LOCATION,
            "repositoryName": tags.REPOSITORY,
            "jobName": kind,
        },
        "runConfigData": config_of(asked),
        "executionMetadata": {"tags": [{"key": tags.REUSE, "value": "false"}]},
    }


def outside_lines(value: Any) -> str:
    """JSON for people, a field a line; all but ASCII is readable, and nothing turns the text around."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return "\n".join(outside(line) for line in text.split("\n"))


def _actions(manifest: Manifest, words: Wording, prefix: str, *, may_act: bool, may_pin: bool) -> str:
    base, task_id = outside(prefix), outside(manifest.task_id)
    parts = [
        f'<a class="button" href="{base}/runs/{outside(manifest.run_ids[-1])}">{words("Dagster run")}</a>'
    ]
    if manifest.status == "completed":
        parts.insert(0, _button(f"{base}/tasks/{task_id}/{REPORT}", words("Report")))
    launch = launch_of(manifest.request)
    if launch is not None:
        path = launchpad_path(launch["selector"]["jobName"], launchpad_yaml(launch["runConfigData"]))
        parts.append(_button(f"{base}{outside(path)}", words("Open in launchpad with this request")))
    if may_act and may_pin:
        pin = words("Unpin" if manifest.pinned else "Pin")
        wanted = "false" if manifest.pinned else "true"
        parts.append(
            f'<button type="button" data-action="pin" data-task="{task_id}" data-pinned="{wanted}">'
            f"{pin}</button>"
        )
    if may_act:
        if launch is not None:
            parts.append(
                f'<button type="button" data-action="rerun" data-launch="{outside(json.dumps(launch))}">'
                f"{words('Run again')}</button>"
            )
    else:
        parts.append(f'<span class="note">{words("You may look only.")}</span>')
    return f'<section class="actions">{"".join(parts)}</section>'


def _button(address: str, title: str) -> str:
    return f'<a class="button" href="{address}">{title}</a>'


def _metrics(manifest: Manifest, words: Wording) -> str:
    benchmark = manifest.benchmark
    rows = "".join(
        f'<tr title="{outside(words.of_metric(facts.meaning))}">'
        f'<th scope="row">{outside(words.of_metric(facts.title))}</th>'
        f'<td class="number {tone(name, value, manifest.metrics)}">'
        f"{outside(words.value(name, value))}</td></tr>"
        for name, value in manifest.metrics.items()
        for facts in (facts_of(name, benchmark),)
    )
    return (
        f"<section><h2>{words('Metrics')}</h2>{wide(f'<table>{rows}</table>', words)}</section>"
        if rows
        else ""
    )


def _files(manifest: Manifest, words: Wording, prefix: str) -> str:
    base = f"{outside(prefix)}/results/{outside(manifest.task_id)}/files"
    files = [(file.path, f"{file.size_bytes:,} B") for file in manifest.result_files]
    items = "".join(
        f'<li><a href="{base}/{outside(path)}" download>{outside(path)}</a> '
        f'<span class="note">{size}</span></li>'
        for path, size in [*files, (MANIFEST, "")]
    )
    return f"<section><h2>{words('Files')}</h2><ul>{items}</ul></section>"
