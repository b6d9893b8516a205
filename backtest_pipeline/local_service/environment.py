"""What each of the service's processes finds in its environment."""

from __future__ import annotations

import os
from typing import Literal

from backtest_pipeline.compute.one_thread import ONE_THREAD
from backtest_pipeline.settings import SECRET_VARIABLES, Settings
from backtest_pipeline.web.access.hosts import is_loopback

ProcessName = Literal["code", "web", "daemon"]
OWN_NAME = "backtest-up"


def environment_of(
    process: ProcessName, settings: Settings, *, host: str, url: str, own_token: str
) -> dict[str, str]:
    """Ours, with absolute folders and one thread a process for arithmetic, and with few secrets.

    The web server alone knows who may come in. The code server knows whom to alert of failures, as its sensor
    sends the alerts. A worker inherits what the code server has.

    Args:
        process: which of them.
        settings: ours.
        host: the address that the web server listens on.
        url: where it is reached from this machine.
        own_token: with which the service asks its own web server; empty where nobody is asked for one.
    """
    hidden = {*SECRET_VARIABLES, *(() if process == "code" else ("ALERT_URLS",))}
    wanted = {name: value for name, value in os.environ.items() if name not in hidden} | {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DATA_ROOT": str(settings.data_root),
        "REPORTS_AHEAD": str(settings.reports_ahead),
        # For the links in alerts.
        "BACKTEST_URL": url if is_loopback(host) else settings.backtest_url,
        **ONE_THREAD,  # workers are forked from a process that must have one
    }
    if settings.run_logs is not None:
        wanted["RUN_LOG_FOLDER"] = str(settings.run_logs)
    if process != "code":  # which starts no runs where others do
        wanted["BACKTEST_BROKER_URL"] = settings.backtest_broker_url
    if process == "web":
        own = [f"{OWN_NAME}:viewer:{own_token}"] if own_token else []
        wanted["BACKTEST_TOKENS"] = "\n".join([settings.backtest_tokens, *own])
        wanted["BACKTEST_PROXY_SECRET"] = settings.backtest_proxy_secret
        wanted["BACKTEST_HOSTS"] = settings.backtest_hosts
    return wanted
