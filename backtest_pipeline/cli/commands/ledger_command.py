"""`backtest ledger`: how often strategies have been tried, by anyone."""

from __future__ import annotations

from typing import Annotated

import typer

from backtest_pipeline.cli.output import Json, print_json, print_table, stderr
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.results.ledger import Ledger
from backtest_pipeline.results.ledger_summary import ledger_summary
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.strategies.registry import strategies

_DAY = 10
"""Length of a date in ISO 8601."""


def ledger(
    strategy: Annotated[str | None, typer.Argument(help="only this one", show_default=False)] = None,
    *,
    json: Json = False,
) -> None:
    """Shows how often which strategy has been tried on which candles, by anyone; needs no server."""
    own = Ledger(Layout(get_settings().data_root))
    lines = list(ledger_summary(own, own.strategies() if strategy is None else [strategy]))
    if json:
        print_json(lines)
        return
    if not lines:
        near = did_you_mean(strategy, {*own.strategies(), *strategies()} - {strategy}) if strategy else ""
        line = f"no trial of {strategy or 'any strategy'} is in the ledger yet{near}"
        stderr.print(line, highlight=False, markup=False, soft_wrap=True)
        return
    rows = [
        (
            line["strategy"],
            ",".join(line["symbols"]),
            line["timeframe"],
            f"{line['trials']:,}",
            f"{line['tasks']:,}",
            "-" if line["best_sharpe"] is None else f"{line['best_sharpe']:.4f}",
            ",".join(line["users"]),
            f"{line['first'][:_DAY]} to {line['last'][:_DAY]}",
            line["since"][:_DAY],
            line["until"][:_DAY],
        )
        for line in lines
    ]
    names = ("strategy", "symbols", "timeframe", "trials", "tasks", "best Sharpe a bar", "users", "candles")
    print_table((*names, "since", "until"), rows, right=["trials", "tasks", "best Sharpe a bar"])
    total = sum(line["trials"] for line in lines)
    stderr.print(f"{counted(total, 'trial')} in all; docs/robustness.md says what follows", highlight=False)
