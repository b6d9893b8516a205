"""The fine print of a report: request, candles, checks, versions, files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from backtest_pipeline.reports.html_tables import pairs_table, rows_table

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.result import BacktestResult


# When a task expires and whether it is pinned may change after the report was made.
PAST = ("submitted_at", "started_at", "finished_at")


def verdict(look_ahead: object) -> tuple[str, str]:
    """What the look-ahead check found, as a class of colour and in words."""
    if not isinstance(look_ahead, Mapping) or look_ahead.get("passed") is None:
        return "", "not checked for look-ahead"
    return ("gain", "no look-ahead found") if look_ahead["passed"] else ("loss", "the strategy looks ahead")


def details(result: BacktestResult) -> str:
    """Everything that another person needs to get the same numbers."""
    request = result.request
    asked, digest = request.to_dict(), request.digest()
    if result.manifest:  # one from before a field was added has the digest that it had
        asked, digest = dict(result.manifest.request), result.manifest.request_digest
    parts = [_folded("Request", pairs_table([*asked.items(), ("digest", digest)]))]
    parts += _checks(result.checks)
    if result.manifest:
        parts += _of_manifest(result.manifest)
    return _fine_print(parts)


def details_of_manifest(manifest: Manifest) -> str:
    """The same of a task whose request and checks are taken from its manifest."""
    request = [*manifest.request.items(), ("digest", manifest.request_digest)]
    parts = [_folded("Request", pairs_table(request)), *_checks(manifest.checks), *_of_manifest(manifest)]
    return _fine_print(parts)


def _checks(found: Mapping[str, object]) -> list[str]:
    checks = [(name, key, item) for name, facts in found.items() for key, item in _items(facts)]
    return [_folded("Checks", rows_table(("check", "fact", "value"), checks))] if checks else []


def _fine_print(parts: list[str]) -> str:
    return f'<section class="details"><h2 data-said>Fine print</h2>{"".join(parts)}</section>'


def _of_manifest(manifest: Manifest) -> list[str]:
    seen = [
        (one.symbol, f"{one.rows:,}", f"{one.first:%Y-%m-%d %H:%M}", f"{one.last:%Y-%m-%d %H:%M}", one.sha256)
        for one in manifest.candles
    ]
    files = [
        (
            file.path,
            file.kind,
            f"{file.size_bytes:,}",
            "-" if file.rows is None else f"{file.rows:,}",
            file.sha256,
        )
        for file in manifest.result_files
    ]
    when = dict(manifest.timestamps)
    task = {
        "task": manifest.task_id,
        "status": manifest.status,
        "attempt": manifest.attempt,
        "Dagster runs": manifest.run_ids,
        "duration, ms": manifest.duration_ms,
        **{name.replace("_", " "): str(when.get(name) or "-") for name in PAST},
    }
    inside = [
        (
            one.symbol,
            str(one.timeframe),
            f"{one.rows:,}",
            f"{one.first:%Y-%m-%d %H:%M}",
            f"{one.last:%Y-%m-%d %H:%M}",
            one.sha256,
        )
        for one in manifest.detail_candles
    ]
    paid = [
        (
            one.symbol,
            f"{one.rates:,}",
            f"{one.first:%Y-%m-%d %H:%M}",
            f"{one.last:%Y-%m-%d %H:%M}",
            one.sha256,
        )
        for one in manifest.funding_rates
    ]
    candle_heads = ("symbol", "candles", "first (UTC)", "last (UTC)", "SHA-256")
    return [
        _folded("Candles", rows_table(candle_heads, seen)),
        *(
            [
                _folded(
                    "Candles inside the bars", rows_table(("symbol", "timeframe", *candle_heads[1:]), inside)
                )
            ]
            if inside
            else []
        ),
        *(
            [_folded("Funding rates", rows_table(("symbol", "rates", *candle_heads[2:]), paid))]
            if paid
            else []
        ),
        _folded("Task", pairs_table(task.items())),
        _folded("Versions and machine", pairs_table(manifest.environment)),
        _folded("Files", rows_table(("file", "kind", "bytes", "rows", "SHA-256"), files)),
    ]


def _items(found: object) -> list[tuple[str, object]]:
    return list(found.items()) if isinstance(found, Mapping) else [("", found)]


def _folded(title: str, table: str) -> str:
    return f"<details><summary data-said>{title}</summary>{table}</details>"
