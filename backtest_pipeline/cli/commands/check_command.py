"""`backtest check`: does a strategy know the future, and how long does it remember the start?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, NamedTuple, cast

import typer

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli.output import Json, print_json, print_table
from backtest_pipeline.cli.request_options import parsed_params, parsed_symbols
from backtest_pipeline.engine.inputs import SeenCandles, strategy_warmup_bars
from backtest_pipeline.engine.lookahead import (
    STRETCH_CUTS,
    LookAhead,
    WarmUp,
    check_look_ahead,
    measure_warm_up,
)
from backtest_pipeline.engine.panel_building import seen_panel
from backtest_pipeline.engine.portfolio_lookahead import (
    check_portfolio_look_ahead,
    measure_portfolio_warm_up,
)
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Strategy
from backtest_pipeline.model.timeframe import Timeframe
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies.registry import Resolved, resolve, strategy_named


def check(
    strategy: Annotated[str, typer.Argument(help="registered name; see `backtest strategies`")],
    symbols: Annotated[list[str], typer.Option(help="comma-separated, e.g. AAPL,MSFT")],
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
    found = strategy_named(strategy)
    trades_portfolio = issubclass(found, PortfolioStrategy)
    request = BacktestRequest(
        strategy=strategy,
        params=parsed_params(param),
        symbols=parsed_symbols(symbols),
        timeframe=cast("Timeframe", timeframe),
        account="shared" if trades_portfolio else "split",
    )
    resolved = resolve(request)
    settings = get_settings()
    candles = CandleStore(settings.data_root, settings.candle_timezone).load(
        request.symbols, request.timeframe
    )
    effort = _Effort(cuts, stretch_cuts, starts, seed)
    verdicts = (
        _of_portfolio(resolved, candles, effort)
        if trades_portfolio
        else _by_symbol(resolved, candles, effort)
    )
    asked_for = strategy_warmup_bars(resolved.strategy, resolved.params)
    if json:
        print_json({name: _facts(*verdict, asked_for) for name, verdict in verdicts.items()})
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
        print_table(columns, [_row(name, *verdict, asked_for) for name, verdict in verdicts.items()])
    if not all(ahead.passed for ahead, _ in verdicts.values()):
        raise typer.Exit(1)


class _Effort(NamedTuple):
    """How much is tried, as the command's options say."""

    cuts: int
    stretch_cuts: int
    starts: int
    seed: int


def _by_symbol(
    resolved: Resolved, candles: Mapping[str, Candles], effort: _Effort
) -> dict[str, tuple[LookAhead, WarmUp]]:
    """Verdicts on a strategy of signals, which answers for each symbol by itself."""
    strategy, params = cast("Strategy", resolved.strategy), resolved.params
    cuts, stretch_cuts, starts, seed = effort
    return {
        symbol: (
            check_look_ahead(strategy, params, own, cuts=cuts, seed=seed, stretch_cuts=stretch_cuts),
            measure_warm_up(strategy, params, own, starts=starts, seed=seed),
        )
        for symbol, own in candles.items()
    }


def _of_portfolio(
    resolved: Resolved, candles: Mapping[str, Candles], effort: _Effort
) -> dict[str, tuple[LookAhead, WarmUp]]:
    """The verdict on a portfolio strategy, which answers for all symbols at once."""
    strategy, params = cast("PortfolioStrategy", resolved.strategy), resolved.params
    cuts, stretch_cuts, starts, seed = effort
    own = list(candles.values())
    seen = seen_panel([SeenCandles(one) for one in own])
    return {
        ",".join(candles): (
            check_portfolio_look_ahead(
                strategy, params, own, seen, cuts=cuts, seed=seed, stretch_cuts=stretch_cuts
            ),
            measure_portfolio_warm_up(strategy, params, own, seen, starts=starts, seed=seed),
        )
    }


def _facts(ahead: LookAhead, warm_up: WarmUp, asked_for_bars: int) -> dict[str, Any]:
    return {"look_ahead": ahead.to_dict(), "warm_up": {**asdict(warm_up), "asked_for_bars": asked_for_bars}}


def _row(name: str, ahead: LookAhead, warm_up: WarmUp, asked_for_bars: int) -> tuple[str, ...]:
    changed = ahead.difference
    where = ""
    if changed:
        what = changed.signal if name == ahead.symbol else f"{changed.signal} of {ahead.symbol}"
        where = (
            f"{what} at {changed.timestamp}, where {changed.cut_after} is followed by {changed.followed_by}"
        )
    return (
        name,
        "none" if ahead.passed else "FOUND",
        f"{ahead.cuts:,}",
        f"{ahead.stretch_cuts:,}",
        f"{ahead.refused:,}",
        f"{ahead.signals:,}",
        str(warm_up.bars_to_settle) if warm_up.settled else "never",
        f"{asked_for_bars:,}",
        where,
    )
