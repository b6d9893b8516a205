"""Asks for the server before a command is imported: one that is not there is named within two seconds."""

from __future__ import annotations

from collections.abc import Sequence

from backtest_pipeline.cli.settings_file import read_settings_file
from backtest_pipeline.model.errors import BacktestError, ServerUnreachable
from backtest_pipeline.sdk.reachable import why_unreachable
from backtest_pipeline.settings import get_settings

ASKING = frozenset({"run", "submit", "sweep", "status", "wait", "cancel", "list"})
"""Commands that can do nothing without the server."""
_ANSWERED_HERE = {"-h", "--help", "--offline", "--foreign"}
_NEEDS_NO_ARGUMENT = {"list"}


def missing_server(arguments: Sequence[str]) -> BacktestError | None:
    """Return why a command line cannot be carried out as there is no server; `None` otherwise.

    Args:
        arguments: what stands behind `backtest`.
    """
    command, *others = [*arguments, ""]
    given = [one for one in others if one]
    if command not in ASKING or _ANSWERED_HERE & set(given) or not (given or command in _NEEDS_NO_ARGUMENT):
        return None
    try:
        read_settings_file()
        url = get_settings().backtest_url
    except BacktestError as error:
        return error
    reason = why_unreachable(url)
    return None if reason is None else ServerUnreachable(url.rstrip("/"), reason)
