"""What Dagster's catalog says of the results, and ready-made configurations for the launchpad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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
    return "\n".join(["Ready to launch on the demo's candles:", "", *lines])


def preset(strategy: type[AnyStrategy], symbols: Sequence[str] = PRESET_SYMBOLS) -> str:
    """A launchpad's YAML for a strategy, every default written out."""
    params = strategy.Params().model_dump(mode="json")
    account: AccountKind = "shared" if issubclass(strategy, PortfolioStrategy) else "split"
    request = BacktestRequest(strategy=strategy.name, params=params, symbols=list(symbols), account=account)
    return launchpad_yaml(
        {**dict.fromkeys(_SHOWN_EMPTY), **to_run_config(request)}, FIRST_FIELDS, empty=_SHOWN_EMPTY
    )
