"""Commands that are imported when they are called, so that none pays for the libraries of the others."""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.quick_imports import left_out, quick_imports

_COMMANDS = "backtest_pipeline.cli.commands"

_OF_HTTPX = "httpx._main"  # its own command line, with the libraries that colour what it prints

# In the order in which people meet them: name, module and what stands for the command in it.
PLACES = {
    "up": ("up_command", "up"),
    "worker": ("worker_command", "worker"),
    "run": ("task_commands", "run"),
    "submit": ("task_commands", "submit"),
    "sweep": ("sweep_commands", "sweep"),
    "walk-forward": ("walk_forward_command", "walk_forward"),
    "best": ("sweep_commands", "best"),
    "status": ("task_commands", "status"),
    "wait": ("task_commands", "wait"),
    "cancel": ("task_commands", "cancel"),
    "result": ("result_command", "result"),
    "report": ("report_commands", "report"),
    "compare": ("report_commands", "compare"),
    "scenarios": ("scenarios_command", "scenarios"),
    "ledger": ("ledger_command", "ledger"),
    "list": ("list_command", "list_tasks"),
    "strategies": ("strategies_command", "list_strategies"),
    "check": ("check_command", "check"),
    "cleanup": ("cleanup_commands", "cleanup"),
    "pin": ("cleanup_commands", "pin"),
    "unpin": ("cleanup_commands", "unpin"),
    "verify": ("verify_command", "verify"),
    "export": ("archive_commands", "export"),
    "import-result": ("archive_commands", "import_result"),
    "doctor": ("doctor_command", "doctor"),
    "candles": ("candle_commands", "candles_app"),
}


class CommandGroup(TyperGroup):
    """The commands of `PLACES`; a list of them is made of the first lines of their docstrings alone."""

    _lists_only = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  Typer's
        """Return the names, in the order of `PLACES`."""
        return list(PLACES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  Typer's
        """Return a command, or None where there is none of that name."""
        if cmd_name not in PLACES:
            return None
        if self._lists_only:
            return TyperCommand(cmd_name, help=summary_of(*PLACES[cmd_name]))
        return imported_command(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is asked for; one that is misspelt is answered with the name most like it."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in PLACES:
            ctx.fail(f"there is no command {name!r}{did_you_mean(name, PLACES)}")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the whole, without importing what it lists."""
        self._lists_only = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._lists_only = False


@cache
def imported_command(name: str) -> Any:
    """Import a command of `PLACES`."""
    module, function = PLACES[name]
    with quick_imports(), left_out(_OF_HTTPX):
        found: Any = getattr(import_module(f"{_COMMANDS}.{module}"), function)
    if isinstance(found, typer.Typer):
        group = typer.main.get_command(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


def summary_of(module: str, function: str) -> str:
    """Return the first line of a function's docstring, or of a `Typer`'s help, read from the source."""
    spec = find_spec(f"{_COMMANDS}.{module}")
    assert spec is not None  # noqa: S101  a place of ours
    assert spec.origin is not None  # noqa: S101  as above
    for node in ast.parse(Path(spec.origin).read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return (ast.get_docstring(node) or "").partition("\n")[0]
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == function for target in node.targets
        ):
            return _help_given(node.value)
    return ""


def _help_given(value: ast.expr) -> str:
    keywords = value.keywords if isinstance(value, ast.Call) else []
    given = [one.value for one in keywords if one.arg == "help"]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else ""
