"""`backtest check`: does a strategy know the future, and how long does it remember the start?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, cast

import typer

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli.output import Json, print_json, print_table
from backtest_pipeline.cli.request_options import parsed_params
from backtest_pipeline.engine.inputs import strategy_warmup_bars
from backtest_pipeline.engine.lookahead import (
    STRETCH_CUTS,
    LookAhead,
    WarmUp,
    check_look_ahead,
    measure_warm_up,
)
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.timeframe import Timeframe
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies.registry import resolve


def check(
    strategy: Annotated[str, typer.Argument(help="registered name; see `backtest strategies`")],
    symbols: Annotated[str, typer.Option(help="comma-separated, e.g. AAPL,MSFT")],
    param: Annotated[list[str], typer.Option("--param", "-p", help="NAME=VALUE, may be repeated")] = [],  # noqa: B006  typer copies it
    timeframe: Annotated[str, typer.Option(help="length of a bar")] = "1d",
    cuts: Annotated[int, typer.Option(min=1, help="after how many bars to cut all candles off")] = 50,
    stretch_cuts: Annotated[
        int, typer.Option(min=0, help="after how many bars, at most, to do so on stretches of the candles")
    ] = STRETCH_CUTS,
    starts: Annotated[int, typer.Option(min=1, help="how many later starts to try")] = 10,
    seed: Annotated[int, typer.Option(help="of the choice of bars, and of the strategy's generator")] = 0,
    *,
    json: Json = False,
) -> None:
    """Checks a strategy for look-ahead (status 1 where there is any) and measures its warm-up.

    Candles are cut off, or go on as they did not, after every bar of 20,000; it takes seconds.
    """
    request = BacktestRequest(
        strategy=strategy,
        params=parsed_params(param),
        symbols=[symbol.strip() for symbol in symbols.split(",") if symbol.strip()],
        timeframe=cast("Timeframe", timeframe),
    )
    resolved = resolve(request)
    settings = get_settings()
    candles = CandleStore(settings.data_root, settings.candle_timezone).load(
        request.symbols, request.timeframe
    )
    ahead = {
        symbol: check_look_ahead(
            resolved.strategy, resolved.params, own, cuts=cuts, seed=seed, stretch_cuts=stretch_cuts
        )
        for symbol, own in candles.items()
    }
    warm_up = {
        symbol: measure_warm_up(resolved.strategy, resolved.params, own, starts=starts, seed=seed)
        for symbol, own in candles.items()
    }
    asked_for = strategy_warmup_bars(resolved.strategy, resolved.params)
    if json:
        print_json({symbol: _facts(ahead[symbol], warm_up[symbol], asked_for) for symbol in candles})
    else:
        columns = (
            "symbol",
            "look-ahead",
            "cuts",
            "stretch cuts",
            "refused",
            "signals seen",
            "bars to settle",
            "asks for",
            "first difference",
        )
        print_table(columns, [_row(ahead[symbol], warm_up[symbol], asked_for) for symbol in candles])
    if not all(verdict.passed for verdict in ahead.values()):
        raise typer.Exit(1)


def _facts(ahead: LookAhead, warm_up: WarmUp, asked_for_bars: int) -> dict[str, Any]:
    return {"look_ahead": ahead.to_dict(), "warm_up": {**asdict(warm_up), "asked_for_bars": asked_for_bars}}


def _row(ahead: LookAhead, warm_up: WarmUp, asked_for_bars: int) -> tuple[str, ...]:
    changed = ahead.difference
    where = ""
    if changed:
        where = (
            f"{changed.signal} at {changed.timestamp}, where {changed.cut_after} is followed by "
            f"{changed.followed_by}"
        )
    return (
        ahead.symbol,
        "none" if ahead.passed else "FOUND",
        f"{ahead.cuts:,}",
        f"{ahead.stretch_cuts:,}",
        f"{ahead.refused:,}",
        f"{ahead.signals:,}",
        str(warm_up.bars_to_settle) if warm_up.settled else "never",
        f"{asked_for_bars:,}",
        where,
    )
