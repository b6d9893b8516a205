"""What Dagster's catalog says of the results, and ready-made configurations for the launchpad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.launchpad import FIRST_FIELDS, launchpad_path, launchpad_yaml
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.run_config import to_run_config

if TYPE_CHECKING:
    from backtest_pipeline.model.request_values import AccountKind
    from backtest_pipeline.model.strategy import AnyStrategy

OWNER = "team:quants"
PRESET_SYMBOLS = ("AAPL", "IBM", "MSFT")
_SHOWN_EMPTY = ("start", "end", "benchmark", "stop_loss_frac", "take_profit_frac", "trailing_stop_frac")
"""Fields that many will fill in: they stand in the launchpad even where they have no value."""

_NEEDS_FUNDING = (
    "needs candles and rates, as `backtest candles download --exchange binance --symbols "
    "BTC/USDT:USDT=BTCUSDT.P --timeframe 1h --funding` brings them"
)
FURTHER_PRESETS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "a portfolio": (
        "one account for all symbols, at most two positions of half the equity each",
        {
            "strategy": "momentum",
            "symbols": list(PRESET_SYMBOLS),
            "account": "shared",
            "sizing": "slots",
            "max_positions": 2,
        },
    ),
    "a leveraged perpetual": (
        "one percent of equity at risk, up to three times leverage, funding paid; " + _NEEDS_FUNDING,
        {
            "strategy": "donchian_breakout",
            "symbols": ["BTCUSDT.P"],
            "timeframe": "1h",
            "direction": "both",
            "account": "shared",
            "stop_loss_frac": 0.02,
            "sizing": "risk",
            "risk_frac": 0.01,
            "leverage": 3,
            "maintenance_margin_frac": 0.005,
            "funding": True,
        },
    ),
}
"""By title: what it is, and its request's fields."""


def result_assets(
    strategies: Mapping[str, type[AnyStrategy]], candles: Sequence[dg.AssetKey] = ()
) -> list[dg.AssetSpec]:
    """Assets that tasks of each strategy materialize: `backtests/<strategy>`, `sweeps/<strategy>` and so on.

    Args:
        strategies: by name.
        candles: what they may be computed of.
    """
    return [
        dg.AssetSpec(
            key=[group, name],
            deps=candles,
            description=f"{what} of `{name}`: {strategy.summary()}",
            group_name=group,
            owners=[OWNER],
            tags={"results": "parquet"},
            kinds={"python", "parquet"},
        )
        for group, what in (
            ("backtests", "Results"),
            ("sweeps", "Searches over settings"),
            ("walk_forwards", "Searches tried on candles that they have not seen"),
        )
        for name, strategy in sorted(strategies.items())
    ]


def presets_text(strategies: Mapping[str, type[AnyStrategy]], symbols: Sequence[str] = PRESET_SYMBOLS) -> str:
    """Links that open the launchpad filled in, as Markdown: one for each strategy that has all defaults."""
    lines = [
        f"- [{name}]({launchpad_path(tags.JOB, preset(strategy, symbols))}): {strategy.summary()}"
        for name, strategy in sorted(strategies.items())
        if not any(field.is_required() for field in strategy.Params.model_fields.values())
    ]
    further = [
        f"- [{title}]({launchpad_path(tags.JOB, further_preset(title))}): {what}"
        for title, (what, fields) in FURTHER_PRESETS.items()
        if fields["strategy"] in strategies
    ]
    return "\n".join(
        ["Ready to launch on the demo's candles:", "", *lines, "", "With further fields:", "", *further]
    )


def further_preset(title: str) -> str:
    """A launchpad's YAML for one of `FURTHER_PRESETS`: its own fields, and those that many fill in."""
    _, fields = FURTHER_PRESETS[title]
    asked = to_run_config(BacktestRequest(**fields))
    shown = {name: asked[name] for name in (*FIRST_FIELDS, "start", "end", *fields) if name in asked}
    return launchpad_yaml(shown, FIRST_FIELDS, empty=("start", "end"))


def preset(strategy: type[AnyStrategy], symbols: Sequence[str] = PRESET_SYMBOLS) -> str:
    """A launchpad's YAML for a strategy, every default written out."""
    params = strategy.Params().model_dump(mode="json")
    account: AccountKind = "shared" if issubclass(strategy, PortfolioStrategy) else "split"
    request = BacktestRequest(strategy=strategy.name, params=params, symbols=list(symbols), account=account)
    return launchpad_yaml(
        {**dict.fromkeys(_SHOWN_EMPTY), **to_run_config(request)}, FIRST_FIELDS, empty=_SHOWN_EMPTY
    )
