"""The command `backtest`."""

from __future__ import annotations

import os
import sys

import typer
from dotenv import dotenv_values

from backtest_pipeline.cli.commands.archive_commands import export, import_result
from backtest_pipeline.cli.commands.candle_commands import candles_app
from backtest_pipeline.cli.commands.check_command import check
from backtest_pipeline.cli.commands.cleanup_commands import cleanup, pin, unpin
from backtest_pipeline.cli.commands.doctor_command import doctor
from backtest_pipeline.cli.commands.list_command import list_tasks
from backtest_pipeline.cli.commands.report_commands import compare, report
from backtest_pipeline.cli.commands.result_command import result
from backtest_pipeline.cli.commands.strategies_command import list_strategies
from backtest_pipeline.cli.commands.sweep_commands import best, sweep
from backtest_pipeline.cli.commands.task_commands import cancel, run, status, submit, wait
from backtest_pipeline.cli.commands.up_command import up
from backtest_pipeline.cli.commands.verify_command import verify
from backtest_pipeline.model.errors import BacktestError, RequestInvalid
from backtest_pipeline.settings import Settings, SettingsInvalid

FAILED, USAGE = 1, 2

app = typer.Typer(
    name="backtest",
    help="Backtests that you submit, watch and trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(up)
app.command()(run)
app.command()(submit)
app.command()(sweep)
app.command()(best)
app.command()(status)
app.command()(wait)
app.command()(cancel)
app.command()(result)
app.command()(report)
app.command()(compare)
app.command("list")(list_tasks)
app.command("strategies")(list_strategies)
app.command()(check)
app.command()(cleanup)
app.command()(pin)
app.command()(unpin)
app.command()(verify)
app.command()(export)
app.command("import-result")(import_result)
app.command()(doctor)
app.add_typer(candles_app, name="candles", help="Import, list and check candles.")


def main() -> None:
    """Runs the command line; errors of ours end with one line on stderr and status 1, or 2 for bad input.

    A file `.env` in the folder where it is started may set what the environment does not.
    """
    try:
        _read_settings_file()
        app()
    except BacktestError as error:
        print(f"backtest: {error}", file=sys.stderr)  # noqa: T201  the command line speaks
        sys.exit(USAGE if isinstance(error, RequestInvalid) else FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _read_settings_file() -> None:
    ours = {name.upper() for name in Settings.model_fields}
    try:
        found = dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f".env: {error}; write it as text in UTF-8 that you may read") from error
    for name, value in found.items():
        if name in ours or name.startswith("DAGSTER_PG_"):
            os.environ.setdefault(name, value or "")
