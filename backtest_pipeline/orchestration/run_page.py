"""What people see of a task in Dagster's pages: tags, log lines, the materialization."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from backtest_pipeline.model import tags

if TYPE_CHECKING:
    from backtest_pipeline.model.gaps import Gaps
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.orchestration.bench import LoadedCandles

HEADLINES = ("total_return", "cagr", "sharpe", "max_drawdown", "win_rate", "trades", "final_equity")


def request_tags(request: BacktestRequest) -> dict[str, str]:
    """The tags by which a task is found in the runs list."""
    return {
        tags.STRATEGY: request.strategy,
        tags.SYMBOLS: tags.symbols_value(request.symbols),
        tags.TIMEFRAME: request.timeframe,
        tags.REQUEST_DIGEST: request.digest(),
        **{f"{tags.LABEL_PREFIX}{key}": value for key, value in request.labels.items()},
    }


def candle_lines(loaded: LoadedCandles) -> list[str]:
    """A line for each symbol: how many candles, from when to when, with which gaps."""
    return [
        f"{seen.symbol}: {seen.rows:,} candles, {seen.first:%Y-%m-%d %H:%M} to "
        f"{seen.last:%Y-%m-%d %H:%M} UTC; "
        f"{_gap_text(loaded.gaps[seen.symbol])}"
        for seen in loaded.fingerprints
    ]


def result_lines(result: BacktestResult) -> list[str]:
    """Counts, headline metrics and remarks."""
    shown = ", ".join(f"{name} {_number(result.metrics[name])}" for name in HEADLINES)
    return [f"{len(result.signals):,} signals, {len(result.trades):,} trades", shown, *result.diagnostics]


def materialization(manifest: Manifest, result: BacktestResult, folder: Path) -> dg.AssetMaterialization:
    """The task's results as an asset `backtests/<strategy>`, whose numbers Dagster plots over time."""
    numbers = {
        name: dg.MetadataValue.float(float(value))
        for name in HEADLINES
        if (value := result.metrics[name]) is not None
    }
    return dg.AssetMaterialization(
        asset_key=["backtests", manifest.strategy_id],
        description=f"{manifest.strategy_id} on {tags.symbols_value(manifest.symbols)}",
        metadata={
            **numbers,
            "metrics": dg.MetadataValue.md(_metrics_table(result)),
            "diagnostics": dg.MetadataValue.md(
                "\n".join(f"- {line}" for line in result.diagnostics) or "none"
            ),
            "look_ahead_check": dg.MetadataValue.json(result.checks.get("look_ahead", {})),
            "folder": dg.MetadataValue.path(str(folder)),
            "task_id": manifest.task_id,
        },
    )


def _gap_text(gaps: Gaps) -> str:
    if not gaps.count:
        return "no gaps"
    after = f"{gaps.largest_from:%Y-%m-%d %H:%M}"
    return f"{gaps.count:,} gaps, the largest of about {gaps.largest_bars:,} bars after {after}"


def _metrics_table(result: BacktestResult) -> str:
    rows = [f"| {name} | {_number(value)} |" for name, value in result.metrics.items()]
    return "\n".join(["| metric | value |", "|---|---:|", *rows])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.6g}"
