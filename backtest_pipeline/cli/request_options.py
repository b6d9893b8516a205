"""A request as command-line options, derived from its fields so that both always agree."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeVar

import typer

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.strategies.registry import resolve

Result = TypeVar("Result")

_SPELLED_OUT = {"strategy", "params", "symbols", "labels", "pinned"}


def takes_request(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command the options of a request; it receives the checked request as `request`.

    Raises:
        RequestInvalid: when the command is called with options that make no request.
    """
    own = inspect.signature(command).parameters
    options = [*_spelled_out(), *_derived()]
    others = [parameter for name, parameter in own.items() if name != "request"]

    @wraps(command)
    def with_request(**values: Any) -> Result:
        fields = {option.name: values.pop(option.name) for option in options}
        return command(request=_request(fields), **values)

    parameters = [*options, *others]
    with_request.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    with_request.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_request


def _spelled_out() -> list[inspect.Parameter]:
    return [
        _parameter(
            "strategy", Annotated[str, typer.Argument(help="registered name; see `backtest strategies`")]
        ),
        _parameter("symbols", Annotated[str, typer.Option(help="comma-separated, e.g. AAPL,MSFT")]),
        _parameter(
            "param",
            Annotated[list[str], typer.Option("--param", "-p", help="NAME=VALUE, may be repeated")],
            [],
        ),
        _parameter("label", Annotated[list[str], typer.Option(help="KEY=VALUE, may be repeated")], []),
        _parameter("pinned", Annotated[bool, typer.Option(help="keep the results for ever")], False),
    ]


def _derived() -> list[inspect.Parameter]:
    parameters = []
    for name, field in BacktestRequest.model_fields.items():
        if name not in _SPELLED_OUT:
            default = field.default
            shown = False if default is None else str(default)
            option = typer.Option(help=field.description, show_default=shown, metavar="VALUE")
            parameters.append(_parameter(name, Annotated[str | None, option], None))
    return parameters


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _request(values: dict[str, Any]) -> BacktestRequest:
    fields = {name: value for name, value in values.items() if value is not None}
    fields["symbols"] = [symbol.strip() for symbol in fields["symbols"].split(",") if symbol.strip()]
    fields["params"] = parsed_params(fields.pop("param"))
    fields["labels"] = dict(_pairs("label", fields.pop("label")))
    return resolve(BacktestRequest(**fields)).request


def parsed_params(texts: list[str]) -> dict[str, Any]:
    """Parameters from `NAME=VALUE` texts.

    Raises:
        RequestInvalid: a text has another form.
    """
    return {key: _value(text) for key, text in _pairs("param", texts)}


def _pairs(option: str, texts: list[str]) -> list[tuple[str, str]]:
    for text in texts:
        if "=" not in text:
            raise RequestInvalid([(f"--{option}", f"write NAME=VALUE, not {text!r}")])
    return [(key, value) for key, _, value in (text.partition("=") for text in texts)]


def _value(text: str) -> Any:
    """A parameter's value: JSON where it is JSON (10, 0.5, true), text otherwise."""
    try:
        return json.loads(text)
    except ValueError:
        return text
