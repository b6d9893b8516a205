"""`backtest strategies`: what there is, where it was found, whether the server has it, what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import typer

from backtest_pipeline.cli.connection import connected
from backtest_pipeline.cli.output import Json, console, print_json, print_table, stderr
from backtest_pipeline.model.errors import ServiceError, StrategyUnknown
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
from backtest_pipeline.model.strategy import AnyStrategy
from backtest_pipeline.strategies.registry import code_sha256_on_disk_of, origins, strategies

OnServer: TypeAlias = Literal["same code", "other code", "missing"]
"""How a strategy is on the server; none where that was not asked or did not answer."""
Answers: TypeAlias = Literal["signals", "weights"]
"""What a strategy answers: signals of each symbol, or weights of a portfolio; none where it is not here."""


def list_strategies(
    name: Annotated[str | None, typer.Argument(help="only this one", show_default=False)] = None,
    *,
    json: Json = False,
) -> None:
    """Lists strategies: where each was found, whether the server has it, parameters, defaults and ranges."""
    here, of_server = strategies(), _of_server()
    names = sorted({*here, *(of_server or {})})
    if name is not None and name not in names:
        raise StrategyUnknown(name, names)
    chosen = [one for one in names if name in {None, one}]
    facts = {one: _facts(one, here.get(one), of_server) for one in chosen}
    if json:
        print_json(facts)
        return
    for one, known in facts.items():
        kind = "trades a portfolio; " if known["answers"] == "weights" else ""
        places = f"[dim]{kind}{known['found_in']}; server: {known['server'] or 'not known'}[/dim]"
        console.print(f"[bold]{one}[/bold]  {known['summary'] or ''}  {places}", highlight=False)
        rows = [
            (f"  {param}", str(schema["default"]), schema["range"], schema["description"])
            for param, schema in known["params"].items()
        ]
        if rows:
            print_table(("  parameter", "default", "range", "meaning"), rows)
        console.print()


def _of_server() -> dict[str, str | None] | None:
    """The server's strategies with their digests; none, with a word on stderr, where it does not answer."""
    try:
        with connected(patience_s=0) as client:
            return client.server_strategies()
    except ServiceError as error:
        stderr.print(f"which of them the server has is not known: {error}", highlight=False, markup=False)
        return None


def _facts(
    name: str, strategy: type[AnyStrategy] | None, of_server: Mapping[str, str | None] | None
) -> dict[str, Any]:
    return {
        "summary": strategy.summary() if strategy else None,
        "answers": _answers(strategy),
        "found_in": origins()[name] if strategy else "the server only",
        "server": None if of_server is None else _on_server(name, strategy, of_server),
        "params": _params(strategy) if strategy else {},
    }


def _answers(strategy: type[AnyStrategy] | None) -> Answers | None:
    if strategy is None:
        return None
    return "weights" if issubclass(strategy, PortfolioStrategy) else "signals"


def _on_server(
    name: str, strategy: type[AnyStrategy] | None, of_server: Mapping[str, str | None]
) -> OnServer:
    if name not in of_server:
        return "missing"
    is_same = strategy is not None and of_server[name] == code_sha256_on_disk_of(name)
    return "same code" if is_same else "other code"


def _params(strategy: type[AnyStrategy]) -> dict[str, dict[str, Any]]:
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
