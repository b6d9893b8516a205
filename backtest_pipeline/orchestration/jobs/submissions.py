"""What the code server says of a request that somebody submits, before there is a run of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import dagster as dg

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import (
    CandleFileUnreadable,
    CandlesInvalid,
    CandlesMissing,
    DetailMissing,
    FundingMissing,
    RequestInvalid,
    StrategyFaulty,
    StrategyNotOnServer,
    SymbolsUnknown,
)
from backtest_pipeline.model.task_kind import kind_of, strategies_of_config
from backtest_pipeline.model.task_request import TaskRequest, config_of
from backtest_pipeline.orchestration.jobs.task_jobs import TASK_JOBS, TaskJob
from backtest_pipeline.orchestration.tasks.run_context import require_candles
from backtest_pipeline.orchestration.tasks.same_result import SameResult
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies.registry import strategies
from backtest_pipeline.workflows.execution_data import detail_timeframes, wants_funding
from backtest_pipeline.workflows.needed_candles import needed_candles
from backtest_pipeline.workflows.varied_fields import traded_symbols

GIVES_UP_AFTER_S = 10.0
"""Then nobody waits any longer for an earlier result, whose candles take so long to read."""


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Answers a question of the `submission_channel`.

    `{"resolve": [RUN_CONFIG, …], "job": NAME}` is answered by `{"resolved": [ANSWER, …]}`, of which each is
    `{"config": RUN_CONFIG}`, the request with all that it leaves out written out; `{"refused": [[FIELD,
    PROBLEM], …]}` where it cannot be run, or where the store lacks its candles; or empty where it is Dagster
    that has to say what is wrong with the form.

    `{"same_result": RUN_CONFIG, "among": [TASK_ID, …], "submitted_code": SHA256 or null}` is answered by
    `{"task_id": TASK_ID}`, of a completed task among those that has the result, or by nothing.
    """
    if "resolve" in question:
        job, found = TASK_JOBS[question["job"]], _FoundCandles()
        return {"resolved": [_resolved(job, config, found) for config in question["resolve"]]}
    if "same_result" in question:
        return _with_same_result(question["same_result"], question["among"], question["submitted_code"])
    return {}


class _FoundCandles:
    """Remembers of which candles the store is known to have them, as many requests want the same."""

    def __init__(self) -> None:
        self._found: set[tuple[object, ...]] = set()

    def require(self, store: CandleStore, request: TaskRequest) -> None:
        """As `run_context.require_candles`, whose errors it raises each time."""
        candles = (
            (tuple(one.symbols), one.timeframe, one.start, one.end)
            for one in needed_candles(request, store.zone)
        )
        key = (*candles, traded_symbols(request), *detail_timeframes(request), wants_funding(request))
        if key not in self._found:
            require_candles(store, request)
            self._found.add(key)


def _resolved(job: TaskJob, config: Mapping[str, Any], found: _FoundCandles) -> dict[str, Any]:
    context = job.new_context(get_settings())
    try:
        _refuse_unknown_strategy(config)
        request = context.request(job.filled_in(config))
        with suppress(CandleFileUnreadable, CandlesInvalid, StrategyFaulty):  # which the first op will name
            found.require(context.candle_store, request)
    except dg.DagsterInvalidConfigError:
        return {}
    except RequestInvalid as error:
        return {"refused": error.as_problems()}
    except (SymbolsUnknown, CandlesMissing, DetailMissing, FundingMissing) as error:
        return {"refused": [("", str(error))]}
    return {"config": config_of(request)}


def _with_same_result(
    config: Mapping[str, Any], among: Sequence[str], submitted_code: str | None
) -> dict[str, Any]:
    give_up_s = time.monotonic() + GIVES_UP_AFTER_S
    context = TASK_JOBS[kind_of(config)].new_context(get_settings())
    same = SameResult(context.task_store, context.candle_store, gives_up=lambda: time.monotonic() > give_up_s)
    task_id = same.task_id(context.request(config), among, submitted_code)
    return {"task_id": task_id} if task_id else {}


def _refuse_unknown_strategy(config: Mapping[str, Any]) -> None:
    """Refuses a strategy that only the submitter has; a selection that is none is left to the form."""
    known = strategies()
    for name in strategies_of_config(config):
        if name not in known:
            raise StrategyNotOnServer(name, list(known))
