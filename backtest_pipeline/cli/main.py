"""The command `backtest`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from backtest_pipeline.cli.command_group import CommandGroup
from backtest_pipeline.cli.settings_file import read_settings_file
from backtest_pipeline.model.errors import BacktestError, RequestInvalid

FAILED, USAGE = 1, 2

app = typer.Typer(
    name="backtest",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  it alone needs the libraries of e-mail

        typer.echo(f"backtest-pipeline {version('backtest-pipeline')}")
        raise typer.Exit


@app.callback()
def backtest(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Backtests that you submit, watch and trust."""


def main() -> None:
    """Runs the command line; errors of ours end with one line on stderr and status 1, or 2 for bad input.

    So does a file that the system refuses, as where DATA_ROOT is on a volume that is read only.

    A file `.env` in the folder where it is started may set what the environment does not.
    """
    try:
        read_settings_file()
        app()
    except BacktestError as error:
        print(f"backtest: {error}", file=sys.stderr)  # noqa: T201  the command line speaks
        sys.exit(USAGE if isinstance(error, RequestInvalid) else FAILED)
    except OSError as error:
        if error.filename is None or isinstance(error, BrokenPipeError):
            raise
        cure = "let it be written, or set DATA_ROOT to a folder that can be"
        print(f"backtest: {error.filename}: {error.strerror}; {cure}", file=sys.stderr)  # noqa: T201  as above
        sys.exit(FAILED)
