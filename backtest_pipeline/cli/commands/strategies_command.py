"""`backtest strategies`: what there is and what each takes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from backtest_pipeline.cli.output import Json, console, print_json, print_table
from backtest_pipeline.model.errors import StrategyUnknown
from backtest_pipeline.model.strategy import Strategy
from backtest_pipeline.strategies.registry import strategies


def list_strategies(
    name: Annotated[str | None, typer.Argument(help="only this one", show_default=False)] = None,
    *,
    json: Json = False,
) -> None:
    """Lists strategies with their parameters, defaults and ranges."""
    known = strategies()
    if name is not None and name not in known:
        raise StrategyUnknown(name, list(known))
    chosen = {key: value for key, value in known.items() if name in {None, key}}
    if json:
        print_json(
            {key: {"summary": value.summary(), "params": _params(value)} for key, value in chosen.items()}
        )
        return
    for key, strategy in chosen.items():
        console.print(f"[bold]{key}[/bold]  {strategy.summary()}", highlight=False)
        rows = [
            (f"  {param}", str(facts["default"]), facts["range"], facts["description"])
            for param, facts in _params(strategy).items()
        ]
        if rows:
            print_table(("  parameter", "default", "range", "meaning"), rows)
        console.print()


def _params(strategy: type[Strategy]) -> dict[str, dict[str, Any]]:
    properties = strategy.Params.model_json_schema().get("properties", {})
    return {
        name: {
            "type": schema.get("type", "any"),
            "default": schema.get("default"),
            "range": _range(schema),
            "description": schema.get("description", ""),
        }
        for name, schema in properties.items()
    }


def _range(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    low = f"{schema['minimum']:g}" if "minimum" in schema else ""
    high = f"{schema['maximum']:g}" if "maximum" in schema else ""
    low = f">{schema['exclusiveMinimum']:g}" if "exclusiveMinimum" in schema else low
    high = f"<{schema['exclusiveMaximum']:g}" if "exclusiveMaximum" in schema else high
    return f"{low} to {high}" if low or high else ""
