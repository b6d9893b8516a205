"""The job's config schema, derived from the request and the strategies: the launchpad explains both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import BaseModel

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.request_groups import group_of, simple_first
from backtest_pipeline.model.run_config import MAY_BE_BLANK
from backtest_pipeline.model.strategy import AnyStrategy

DEFAULT_STRATEGY = "sma_cross"
DEFAULT_SYMBOLS = ["AAPL"]

_SCALARS: Mapping[str, Any] = {"integer": int, "number": float, "boolean": bool, "string": str}


def launch_form(strategies: Mapping[str, type[AnyStrategy]], *, varied: bool = False) -> dict[str, dg.Field]:
    """A Dagster field for each field of a request; `strategy` selects one strategy with its parameters.

    An untouched form can be launched: it has the defaults of all fields that any backtest has. Those that few
    need may be written beside them; Dagster sorts by name and would mix them among the others.

    Plain Dagster scalars are used throughout: they refuse `{"env": NAME}`, which would reveal the worker's
    environment.

    Args:
        strategies: by name.
        varied: whether parameters may be left out, to be varied or to have the strategy's own default.
    """
    fields = {
        name: field
        for name, field in fields_of(BacktestRequest).items()
        if name not in {"strategy", "params", "symbols"}
    }
    for name in MAY_BE_BLANK:
        fields[name] = dg.Field(
            fields[name].config_type,
            is_required=False,
            default_value="",
            description=fields[name].description,
        )
    symbols = BacktestRequest.model_fields["symbols"].description
    return {
        "strategy": _selector(strategies, varied=varied),
        "symbols": dg.Field([str], default_value=DEFAULT_SYMBOLS, description=symbols),
        **{name: _unless_needed(name, fields[name]) for name in simple_first([*fields])},
    }


def _unless_needed(name: str, field: dg.Field) -> dg.Field:
    """A field as it is, or one of those that few backtests need, left out of an untouched form."""
    group = group_of(name)
    if group is None:
        return field
    default = BacktestRequest.model_fields[name].default
    text = "none" if default in {None, ()} else str(default).lower()
    description = f"{field.description}; {text} by default ({group.lower()})"
    return dg.Field(field.config_type, is_required=False, description=description)


def _selector(strategies: Mapping[str, type[AnyStrategy]], *, varied: bool) -> dg.Field:
    params = {name: fields_of(strategy.Params) for name, strategy in strategies.items()}
    default = {DEFAULT_STRATEGY: strategies[DEFAULT_STRATEGY].Params().model_dump(mode="json")}
    if varied:
        params = {name: _without_defaults(fields) for name, fields in params.items()}
        default = {DEFAULT_STRATEGY: {}}
    options = {
        name: dg.Field(params[name], is_required=False, description=strategy.summary())
        for name, strategy in strategies.items()
    }
    return dg.Field(
        dg.Selector(options),  # type: ignore[no-untyped-call]  # untyped in Dagster
        default_value=default,
        description="the strategy, with its parameters: keep exactly one of the names",
    )


def _without_defaults(fields: Mapping[str, dg.Field]) -> dict[str, dg.Field]:
    return {
        name: dg.Field(field.config_type, is_required=False, description=field.description)
        for name, field in fields.items()
    }


def fields_of(model: type[BaseModel]) -> dict[str, dg.Field]:
    """A Dagster field for each field of a model, with its description and default."""
    schema = model.model_json_schema()
    required = schema.get("required", [])
    return {
        name: _field(f"{model.__qualname__}.{name}", prop, required=name in required)
        for name, prop in schema.get("properties", {}).items()
    }


def _field(path: str, prop: dict[str, Any], *, required: bool) -> dg.Field:
    kind, description = _config_type(path, prop), _described(prop)
    if required:
        return dg.Field(kind, description=description)
    default = prop.get("default", {} if prop.get("type") == "object" else None)
    return dg.Field(kind, is_required=False, default_value=default, description=description)


def _config_type(path: str, prop: dict[str, Any]) -> Any:
    if "anyOf" in prop:
        options = [option for option in prop["anyOf"] if option.get("type") != "null"]
        inner = _config_type(path, options[0])
        return dg.Noneable(inner) if len(options) < len(prop["anyOf"]) else inner
    if "enum" in prop:
        return dg.Enum(path.replace(".", "_"), [dg.EnumValue(value) for value in prop["enum"]])
    if prop.get("type") == "array":  # items of several kinds are a pair of numbers, of which one is whole
        return [float if "prefixItems" in prop else _config_type(path, prop.get("items", {}))]
    if prop.get("type") == "object":
        values = prop.get("additionalProperties")
        if not isinstance(values, dict) or not values:
            return dict
        return dg.Map(str, _config_type(path, values))  # type: ignore[no-untyped-call]  # untyped in Dagster
    return _SCALARS.get(prop.get("type", ""), dg.Any)


def _described(prop: dict[str, Any]) -> str:
    """The description with the range behind it, as Dagster shows no ranges."""
    bounds = {
        **prop,
        **next((option for option in prop.get("anyOf", []) if option.get("type") != "null"), {}),
    }
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = ", ".join(f"{sign} {bounds[key]:g}" for key, sign in signs.items() if key in bounds)
    text = prop.get("description", "")
    return f"{text} ({limits})" if limits else text
