"""`backtest up`: the whole pipeline on this machine, until Ctrl-C."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from backtest_pipeline.cli.output import console, stderr
from backtest_pipeline.local_service.home import logs_of
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import get_settings
from backtest_pipeline.web.addresses import RESULTS


def up(
    *,
    host: Annotated[
        str, typer.Option(help="address to listen on; beyond this machine only with BACKTEST_TOKENS")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="port to listen on")] = 3000,
) -> None:
    """Starts web server, daemon and code server, prints the address when ready, stops all on Ctrl-C."""
    settings = get_settings()
    service = LocalService(settings, host=host, port=port)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, _as_interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, _as_interrupt)
    stderr.print(f"starting; logs are in {logs_of(settings.dagster_home)}", highlight=False, soft_wrap=True)
    try:
        with service.running():
            console.print(f"ready: {service.url}", highlight=False)
            console.print(f"results: {service.url}{RESULTS}", highlight=False)
            service.supervise(lambda line: stderr.print(line, highlight=False, soft_wrap=True))
    except KeyboardInterrupt:
        stderr.print("stopped")


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
