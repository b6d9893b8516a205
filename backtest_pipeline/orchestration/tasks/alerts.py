"""Alerts that a task failed, over whatever Apprise can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apprise

from backtest_pipeline.model import tags
from backtest_pipeline.model.metric_catalog import shown_symbols
from backtest_pipeline.model.request_tags import symbols_of
from backtest_pipeline.orchestration.tasks.attempts import task_of

if TYPE_CHECKING:
    import logging

    from dagster import DagsterRun

_refused: set[str] = set()
"""Alerts that this process has sent already: the sensor looks every few seconds."""


class Alerts:
    """Notifies all of ALERT_URLS. A notifier that fails is logged and never in the way."""

    def __init__(self, urls: str, web_url: str, log: logging.Logger) -> None:
        """Prepares the notifiers.

        Args:
            urls: comma-separated Apprise URLs; empty for none.
            web_url: the web server, for the link to the run.
            log: gets the failures of a notifier.
        """
        self._web_url = web_url.rstrip("/")
        self._log = log
        self._notifier = apprise.Apprise()
        for number, url in enumerate(part.strip() for part in urls.split(",") if part.strip()):
            if not self._notifier.add(url) and url not in _refused:
                _refused.add(url)
                log.warning("entry %d of ALERT_URLS is no notification URL", number + 1)

    def failed(self, run: DagsterRun, message: str) -> None:
        """Sends an alert that a task has failed for good."""
        if not len(self._notifier):
            return
        task_id = task_of(run)
        body = (
            f"{message}\n\n"
            f"strategy: {run.tags.get(tags.STRATEGY, '?')}\n"
            f"symbols: {shown_symbols(symbols_of(run.tags) or ['?'])}\n"
            f"task: {task_id}\n"
            f"run: {self._web_url}/runs/{run.run_id}"
        )
        try:
            sent = self._notifier.notify(title=f"{run.job_name} {task_id[:8]} failed", body=body)
        except Exception as error:  # noqa: BLE001  whatever a notifier raises, the service goes on
            self._log.warning("the alert for task %s could not be sent: %r", task_id, error)
            return
        if not sent:
            self._log.warning("the alert for task %s could not be sent to every address", task_id)
