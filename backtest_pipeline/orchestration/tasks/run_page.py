"""What people see of a task in Dagster's pages: tags, log lines, the materialization."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.metric_catalog import facts_of, shown_symbols, shown_with_unit
from backtest_pipeline.model.request_tags import descriptive_tags
from backtest_pipeline.model.run_config import to_run_config
from backtest_pipeline.storage.layout import CHART, REPORT
from backtest_pipeline.web.addresses import RESULTS

if TYPE_CHECKING:
    from backtest_pipeline.model.gaps import Gaps
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.orchestration.tasks.run_context import LoadedCandles
    from backtest_pipeline.workflows.execution_data import ExecutionData

HEADLINES = ("total_return", "cagr", "sharpe", "max_drawdown", "win_rate", "trades", "final_equity")
_MOST_TRADES = 10


def request_tags(request: BacktestRequest) -> dict[str, str]:
    """The tags by which a task is found in the runs list, and its result by whoever asks again."""
    return {**descriptive_tags(to_run_config(request)), tags.REQUEST_DIGEST: request.digest()}


def candle_lines(loaded: LoadedCandles) -> list[str]:
    """A line for each symbol: how many candles, from when to when, with which gaps."""
    return [
        f"{seen.symbol}: {seen.rows:,} candles, {seen.first:%Y-%m-%d %H:%M} to "
        f"{seen.last:%Y-%m-%d %H:%M} UTC; "
        f"{_gap_text(loaded.gaps[seen.symbol])}{_partial_text(loaded.partial.get(seen.symbol, 0))}"
        for seen in loaded.fingerprints
    ]


def execution_data_lines(data: ExecutionData) -> list[str]:
    """A line for each symbol's finer candles and funding rates: how many, from when to when."""
    return [
        *(
            f"{seen.symbol}: {seen.rows:,} {seen.timeframe} candles inside its bars, "
            f"{seen.first:%Y-%m-%d %H:%M} to {seen.last:%Y-%m-%d %H:%M} UTC"
            for seen in data.detail_fingerprints()
        ),
        *(
            f"{seen.symbol}: {counted(seen.rates, 'funding rate')}, "
            f"{seen.first:%Y-%m-%d %H:%M} to {seen.last:%Y-%m-%d %H:%M} UTC"
            for seen in data.funding_fingerprints()
        ),
    ]


def result_lines(result: BacktestResult) -> list[str]:
    """Counts, headline metrics and remarks."""
    headlines = ", ".join(
        f"{facts_of(name).title.lower()} {shown_with_unit(name, result.metrics[name])}" for name in HEADLINES
    )
    return [f"{len(result.signals):,} signals, {len(result.trades):,} trades", headlines, *result.diagnostics]


def materialization(manifest: Manifest, result: BacktestResult, folder: Path) -> dg.AssetMaterialization:
    """The task's results as an asset `backtests/<strategy>`."""
    pages = f"/tasks/{manifest.task_id}"
    return dg.AssetMaterialization(
        asset_key=["backtests", manifest.strategy_id],
        description=what_was_run(manifest),
        metadata={
            "report": dg.MetadataValue.url(f"{pages}/{REPORT}"),
            "result": dg.MetadataValue.url(f"{RESULTS}/{manifest.task_id}"),
            "equity": dg.MetadataValue.md(f"![equity and drawdown]({pages}/{CHART})"),
            **headline_entries(result.metrics),
            "metrics": dg.MetadataValue.md(metrics_table(result.metrics, result.request.benchmark)),
            "last trades": _last_trades(result),
            "warnings": dg.MetadataValue.md(_warnings(result)),
            "look-ahead check": dg.MetadataValue.json(result.checks.get("look_ahead", {})),
            "folder": dg.MetadataValue.path(str(folder)),
            "task": manifest.task_id,
        },
    )


def what_was_run(manifest: Manifest) -> str:
    """Strategy, symbols, timeframe and the days of the candles, which tell a materialization from others."""
    words = [f"{manifest.strategy_id} on {shown_symbols(manifest.symbols)}", manifest.timeframe]
    if traded := manifest.traded_candles:  # a sweep none of whose trials found candles has none
        first = min(seen.first for seen in traded)
        last = max(seen.last for seen in traded)
        words.append(f"{first:%Y-%m-%d} to {last:%Y-%m-%d}")
    return ", ".join(words)


def headline_entries(metrics: Mapping[str, float | None]) -> dict[str, dg.MetadataValue[Any]]:
    """The headline metrics, each rounded with its unit and as it is.

    All of it is text: Dagster joins the numbers of an asset's materializations to one line over time, and an
    asset's materializations are backtests of different symbols and spans. `/results` compares them.
    """
    entries: dict[str, dg.MetadataValue[Any]] = {}
    for name in HEADLINES:
        if (value := metrics.get(name)) is not None:
            entries[facts_of(name).title] = dg.MetadataValue.text(shown_with_unit(name, value))
            entries[name] = dg.MetadataValue.text(repr(float(value)))
    return entries


def _last_trades(result: BacktestResult) -> dg.TableMetadataValue:
    """The latest trades, newest first."""
    shown_rows = result.trades.sort_values("exit_time", kind="stable").tail(_MOST_TRADES).iloc[::-1]
    records = [
        dg.TableRecord(
            {
                "symbol": trade["symbol"],
                "side": trade["side"],
                "entry": f"{trade['entry_time']:%Y-%m-%d %H:%M}",
                "at": f"{trade['entry_price']:,.4f}",
                "exit": f"{trade['exit_time']:%Y-%m-%d %H:%M}",
                "for": f"{trade['exit_price']:,.4f}",
                "pnl": f"{trade['pnl']:,.2f}",
                "return": f"{trade['return_frac']:.2%}",
                "bars held": int(trade["bars_held"]),
                "why": trade["exit_reason"],
            }
        )
        for trade in shown_rows.to_dict("records")
    ]
    kinds = {"bars held": "int"}
    names = ("symbol", "side", "entry", "at", "exit", "for", "pnl", "return", "bars held", "why")
    columns = [dg.TableColumn(name, kinds.get(name, "string")) for name in names]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def _warnings(result: BacktestResult) -> str:
    return "\n".join(f"- {line}" for line in result.diagnostics) or "none"


def _partial_text(bars: int) -> str:
    return f"; {counted(bars, 'bar')} made of fewer shorter ones than there should be" if bars else ""


def _gap_text(gaps: Gaps) -> str:
    if not gaps.count:
        return "no gaps"
    after = f"{gaps.largest_from:%Y-%m-%d %H:%M}"
    return f"{counted(gaps.count, 'gap')}, the largest of about {gaps.largest_bars:,} bars after {after}"


def metrics_table(metrics: Mapping[str, float | None], benchmark: str | None = None) -> str:
    """All metrics with what they are, as Markdown."""
    rows = [
        f"| {facts.title} | {shown_with_unit(name, value)} | {facts.meaning} |"
        for name, value in metrics.items()
        for facts in (facts_of(name, benchmark),)
    ]
    return "\n".join(["| metric | value | what it is |", "|---|---:|---|", *rows])
