"""What a request says by the tags of its run: the runs list shows it, clients filter by it, Dagster obeys it.

The functions take run configs, which need not be right: what makes no tag is left out, and the first op tells
what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backtest_pipeline.model import tags
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.tag_rules import tag_problem
from backtest_pipeline.model.task_kind import backtest_of, strategies_of_config

# Numbers of a request that Dagster reads from tags.
_NUMBERS: Mapping[str, str] = {
    "priority": tags.PRIORITY,
    "max_retries": tags.MAX_RETRIES,
    "timeout_s": tags.MAX_RUNTIME,
}


def descriptive_tags(config: Mapping[str, Any]) -> dict[str, str]:
    """Strategy, symbols, timeframe and labels: by which a task is found."""
    run_tags: dict[str, str] = {}
    backtest = backtest_of(config)
    if names := strategies_of_config(config):
        run_tags[tags.STRATEGY] = ",".join(names)
    if isinstance(backtest.get("symbols"), list):
        run_tags[tags.SYMBOLS] = ",".join(map(str, backtest["symbols"]))
    if isinstance(backtest.get("timeframe"), str):
        run_tags[tags.TIMEFRAME] = backtest["timeframe"]
    if isinstance(backtest.get("labels"), Mapping):
        run_tags |= label_tags(backtest["labels"])
    return run_tags


def scheduling_tags(config: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Priority, retries and time limit, which Dagster reads from tags.

    Args:
        config: the run's.
        given: tags that the run has; they stand where the config says nothing that can be used.
    """
    run_tags = {}
    backtest = backtest_of(config)
    for name, tag in _NUMBERS.items():
        asked = backtest.get(name)
        if isinstance(asked, int) and not tag_problem(tag, str(asked)):
            run_tags[tag] = str(asked)
        elif tag not in given:
            run_tags[tag] = str(BacktestRequest.model_fields[name].default)
    return run_tags


def label_tags(labels: Mapping[str, Any]) -> dict[str, str]:
    """Labels as tags."""
    return {f"{tags.LABEL_PREFIX}{name}": str(value) for name, value in labels.items()}


def labels_of(run_tags: Mapping[str, str]) -> dict[str, str]:
    """The labels among a run's tags."""
    return {
        name.removeprefix(tags.LABEL_PREFIX): value
        for name, value in run_tags.items()
        if name.startswith(tags.LABEL_PREFIX)
    }


def symbols_of(run_tags: Mapping[str, str]) -> list[str]:
    """The symbols that a run's tags name, which need not be all."""
    return [symbol for symbol in run_tags.get(tags.SYMBOLS, "").split(",") if symbol]
