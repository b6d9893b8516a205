"""A request as command-line options, derived from its fields so that both always agree."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from backtest_pipeline.cli.space_options import parsed_steps
from backtest_pipeline.cli.stored_tasks import located
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.request_groups import group_of, simple_first
from backtest_pipeline.quick_imports import ImportedWhenUsed
from backtest_pipeline.strategies.registry import resolve

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from backtest_pipeline.results import completed_sweeps
    from backtest_pipeline.results.task_store import TaskStore
    from backtest_pipeline.sdk import sweep_results
else:  # both read tables with Arrow
    completed_sweeps = ImportedWhenUsed("backtest_pipeline.results.completed_sweeps")
    sweep_results = ImportedWhenUsed("backtest_pipeline.sdk.sweep_results")

Result = TypeVar("Result")

_STRATEGY_HELP = "registered name; see `backtest strategies`"
_SYMBOLS_HELP = "comma-separated, e.g. AAPL,MSFT"
_WRITTEN = {"take_profit_steps": ", as in 0:0.04+30:0.02"}
"""How values are written that are neither numbers nor words."""
_SPELLED_OUT = {"strategy", "params", "symbols", "labels", "pinned"}


def takes_request(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command the options of a request; it receives the checked request as `request`.

    Raises:
        RequestInvalid: when the command is called with options that make no request.
    """
    return _with_options(
        command, [*_spelled_out(), *_derived()], lambda given: resolve(_request(given)).request
    )


def takes_varied_request(command: Callable[..., Result]) -> Callable[..., Result]:
    """As `takes_request`, for a request of which something is to be varied: its parameters are unchecked."""
    return _with_options(command, [*_spelled_out(), *_derived()], _request)


def takes_request_or_trial(command: Callable[..., Result]) -> Callable[..., Result]:
    """As `takes_request`; with `--from TASK --trial N` the request is that trial of a sweep.

    What else is given then takes the place of what the trial had.
    """
    spelled = {option.name: option for option in _spelled_out()}
    strategy = spelled["strategy"].replace(
        annotation=Annotated[str | None, typer.Argument(help=_STRATEGY_HELP, show_default=False)],
        default=None,
    )
    symbols = spelled["symbols"].replace(
        annotation=Annotated[list[str] | None, typer.Option(help=_SYMBOLS_HELP, show_default=False)],
        default=None,
    )
    others = [option for name, option in spelled.items() if name not in {"strategy", "symbols"}]
    return _with_options(command, [strategy, symbols, *others, *_derived(), *_of_trial()], _request_or_trial)


def _with_options(
    command: Callable[..., Result],
    options: list[inspect.Parameter],
    request_of: Callable[[dict[str, Any]], BacktestRequest],
) -> Callable[..., Result]:
    own = inspect.signature(command, eval_str=True).parameters  # typer reads help texts from annotations
    others = [parameter for name, parameter in own.items() if name != "request"]

    @wraps(command)
    def with_request(**values: Any) -> Result:
        fields = {option.name: values.pop(option.name) for option in options}
        return command(request=request_of(fields), **values)

    parameters = [*options, *others]
    with_request.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    with_request.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_request


def _spelled_out() -> list[inspect.Parameter]:
    return [
        _parameter("strategy", Annotated[str, typer.Argument(help=_STRATEGY_HELP)]),
        _parameter("symbols", Annotated[list[str], typer.Option(help=_SYMBOLS_HELP)]),
        _parameter(
            "param",
            Annotated[list[str], typer.Option("--param", "-p", help="NAME=VALUE, may be repeated")],
            [],
        ),
        _parameter("label", Annotated[list[str], typer.Option(help="KEY=VALUE, may be repeated")], []),
        _parameter("pinned", Annotated[bool, typer.Option(help="keep the results for ever")], False),
    ]


def _of_trial() -> list[inspect.Parameter]:
    task = typer.Option(
        "--from",
        help="a sweep's task id, the beginning of it, or `last`: run a trial of it",
        metavar="TASK",
        show_default=False,
    )
    trial = typer.Option(help="number of the trial; the best by default", show_default=False)
    return [
        _parameter("from_task", Annotated[str | None, task], None),
        _parameter("trial", Annotated[int | None, trial], None),
    ]


def _derived() -> list[inspect.Parameter]:
    """An option for each other field; those that few need stand in sections of their own."""
    fields = BacktestRequest.model_fields
    return [_option_of(name, fields[name]) for name in simple_first([*fields]) if name not in _SPELLED_OUT]


def _option_of(name: str, field: FieldInfo) -> inspect.Parameter:
    default, panel = field.default, group_of(name)
    if isinstance(default, bool):
        flag = name.replace("_", "-")
        option = typer.Option(
            f"--{flag}/--no-{flag}", help=field.description, show_default=False, rich_help_panel=panel
        )
        return _parameter(name, Annotated[bool | None, option], None)
    shown = False if default in {None, ()} else str(default)
    text = f"{field.description}{_WRITTEN.get(name, '')}"
    option = typer.Option(help=text, show_default=shown, metavar="VALUE", rich_help_panel=panel)
    return _parameter(name, Annotated[str | None, option], None)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _request(values: dict[str, Any]) -> BacktestRequest:
    return BacktestRequest(**_fields(values))


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    """The fields that are given."""
    fields = {name: value for name, value in values.items() if value is not None}
    if "symbols" in fields:
        fields["symbols"] = parsed_symbols(fields["symbols"])
    if "take_profit_steps" in fields:
        fields["take_profit_steps"] = parsed_steps(fields["take_profit_steps"])
    fields["params"] = parsed_params(fields.pop("param"))
    fields["labels"] = dict(_pairs("label", fields.pop("label")))
    return fields


def _request_or_trial(values: dict[str, Any]) -> BacktestRequest:
    task_id, trial = values.pop("from_task"), values.pop("trial")
    fields = _fields(values)
    if task_id is None:
        missing = [name for name in ("strategy", "symbols") if name not in fields]
        if missing or trial is not None:
            problems = [(name, "say which, or name a sweep's trial with --from") for name in missing]
            raise RequestInvalid(problems or [("--trial", "name the sweep's task as well, with --from")])
        return resolve(BacktestRequest(**fields)).request
    store, task_id = located(task_id)
    number = _best_of(store, task_id) if trial is None else trial
    own = sweep_results.request_of_trial(store, task_id, number)
    given = {name: value for name, value in fields.items() if value or name not in {"labels", "pinned"}}
    params = {**own.params, **fields["params"]} if fields.get("strategy") in {None, own.strategy} else {}
    merged = {name: getattr(own, name) for name in BacktestRequest.model_fields} | given | {"params": params}
    return resolve(BacktestRequest(**merged)).request


def _best_of(store: TaskStore, task_id: str) -> int:
    best = completed_sweeps.completed_sweep(store, task_id)[0].summary.best_trial
    if best is None:
        raise RequestInvalid([("--trial", f"no trial of {task_id} ranks; say which to run")])
    return best


def parsed_symbols(texts: list[str]) -> list[str]:
    """Symbols from texts that separate them by commas, one for each time that the option was given."""
    return [symbol.strip() for text in texts for symbol in text.split(",") if symbol.strip()]


def parsed_params(texts: list[str]) -> dict[str, Any]:
    """Parameters from `NAME=VALUE` texts.

    Raises:
        RequestInvalid: a text has another form, or a name comes twice.
    """
    return {key: _value(text) for key, text in _pairs("param", texts)}


def _pairs(option: str, texts: list[str]) -> list[tuple[str, str]]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise RequestInvalid([(f"--{option}", f"write NAME=VALUE, not {text!r}")])
        if name in pairs:
            raise RequestInvalid([(f"--{option}", f"{name} is given twice; give it once")])
        pairs[name] = value
    return list(pairs.items())


def _value(text: str) -> Any:
    """A parameter's value: JSON where it is JSON (10, 0.5, true), text otherwise."""
    try:
        return json.loads(text)
    except ValueError:
        return text
