"""A request as the run config of the job `backtest`, and back.

The config is the request itself; only the strategy differs, being a selector that holds its parameters:
`{"strategy": {NAME: PARAMS}, …}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.plain_data import plain_data_problem
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.request_values import MOST_SYMBOLS

MAY_BE_BLANK = ("start", "end", "benchmark")
"""Fields that a form shows as empty texts, which mean none: Dagster leaves what is null out of a form."""


def to_run_config(request: BacktestRequest) -> dict[str, Any]:
    """The run config that asks for this backtest."""
    fields = request.to_dict()
    params = fields.pop("params")
    return {**fields, "strategy": {request.strategy: params}}


def as_asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request as a run config has them, unchecked: for the record of a refused request.

    Raises:
        RequestInvalid: not exactly one strategy is selected.
    """
    selected = config.get("strategy")
    if not isinstance(selected, Mapping) or len(selected) != 1:
        raise RequestInvalid([("strategy", "select exactly one, as in {sma_cross: {fast: 10, slow: 20}}")])
    [(name, params)] = selected.items()
    blank = {moment: None for moment in MAY_BE_BLANK if config.get(moment) == ""}
    return {**config, **blank, "strategy": name, "params": dict(params)}


def from_run_config(config: Mapping[str, Any]) -> BacktestRequest:
    """The request that a run config asks for.

    Raises:
        RequestInvalid: a field is wrong, or not exactly one strategy is selected.
    """
    return BacktestRequest(**as_asked(config))


def refuse_unsafe_config(config: object) -> None:
    """Lets through what Dagster may look at as the run config of any job, whether it fits the job or not.

    Dagster replaces `{"env": NAME}` by a variable of the code server's or worker's environment, wherever a
    job's config takes such a thing. Only among a request's labels and a strategy's parameters is `env` a name
    like any other; no job of ours takes variables there.

    Raises:
        RequestInvalid: it names an environment variable, has too many symbols, or is not plain data.
    """
    if problem := plain_data_problem(config):
        raise RequestInvalid([("run config", problem)])
    left: list[tuple[tuple[str, ...], object]] = [((), config)]
    while left:
        path, part = left.pop()
        if isinstance(part, Mapping):
            if not all(isinstance(name, str) for name in part):
                raise RequestInvalid([(".".join(path), "names are texts; put them in quotes")])
            if len(part) == 1 and "env" in part and not _is_free(path):
                where = ".".join([*path, "env"])
                raise RequestInvalid(
                    [(where, "a run config may not name environment variables; write the value itself")]
                )
            left += [((*path, name), value) for name, value in part.items()]
        elif isinstance(part, list):
            if path[-1:] == ("symbols",) and len(part) > MOST_SYMBOLS:
                raise RequestInvalid([("symbols", f"name at most {MOST_SYMBOLS}, not {len(part):,}")])
            left += [(path, value) for value in part]
        elif not isinstance(part, str | int | float | None):
            raise RequestInvalid([(".".join(path), f"write a plain value, not a {type(part).__name__}")])


def _is_free(path: tuple[str, ...]) -> bool:
    """Whether a mapping's names are the user's own: labels, and the parameters of a strategy."""
    return path[-1:] in {("labels",), ("params",)} or path[-2:-1] == ("strategy",)
