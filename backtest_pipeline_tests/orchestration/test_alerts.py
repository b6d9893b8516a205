"""People are told that a task has failed for good, with where to look."""

from __future__ import annotations

import logging
from typing import Any

import apprise
import dagster as dg
import pytest

from backtest_pipeline.orchestration.tasks.alerts import Alerts

LOG = logging.getLogger("alerts")


def _run(**run_tags: str) -> dg.DagsterRun:
    given = {key.replace("__", "/"): value for key, value in run_tags.items()}
    root = given.get("dagster/root_run_id")
    return dg.DagsterRun(job_name="backtest", tags=given, root_run_id=root, parent_run_id=root)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What goes out; nothing leaves the process."""
    found: list[dict[str, Any]] = []

    def notify(_self: apprise.Apprise, **message: Any) -> bool:
        found.append(message)
        return True

    monkeypatch.setattr(apprise.Apprise, "notify", notify)
    return found


def test_an_alert_names_the_task_what_it_was_and_the_attempt_that_failed(sent: list[dict[str, Any]]) -> None:
    root = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
    run = _run(backtest__strategy="sma_cross", backtest__symbols="AAPL,IBM", dagster__root_run_id=root)
    Alerts("json://127.0.0.1:9/somebody", "http://web/", LOG).failed(run, "disk full")
    [message] = sent
    assert message["title"] == "backtest 0f1e2d3c failed"
    lines = message["body"].splitlines()
    assert lines[0] == "disk full"
    assert lines[2:] == [
        "strategy: sma_cross",
        "symbols: AAPL,IBM",
        f"task: {root}",
        f"run: http://web/runs/{run.run_id}",
    ]


def test_a_run_without_tags_is_told_all_the_same(sent: list[dict[str, Any]]) -> None:
    Alerts("json://127.0.0.1:9/somebody", "http://web", LOG).failed(_run(), "it died")
    assert "strategy: ?\nsymbols: ?\n" in sent[0]["body"]


def test_without_addresses_nobody_is_told(sent: list[dict[str, Any]]) -> None:
    Alerts(" , ", "http://web", LOG).failed(_run(), "it died")
    assert sent == []


def test_an_address_that_is_none_is_named_once_and_by_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, logger="alerts"):
        for _ in range(2):
            Alerts("json://127.0.0.1:9/somebody,nonsense", "http://web", LOG)
    said = [record.getMessage() for record in caplog.records if record.name == "alerts"]
    assert said == ["entry 2 of ALERT_URLS is no notification URL"]


def test_a_notifier_that_fails_is_logged_and_never_in_the_way(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("alerts")
    with caplog.at_level(logging.WARNING, logger="alerts"):
        alerts = Alerts("no-address, json://127.0.0.1:9/nobody", "http://web", log)
        alerts.failed(_run(backtest__strategy="sma_cross"), "broken")
    assert "entry 1 of ALERT_URLS is no notification URL" in caplog.text
    assert "could not be sent" in caplog.text
