"""A service behind its guard, as attackers and users meet it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import free_port

ANNS = "anns-token-0123456789abcdef"
VIEWS = "views-token-0123456789abcdef"
SECRET = "proxy-secret-0123456789abcdef"  # noqa: S105  of nothing
WRONG = "wrong-token-0123456789abcdef"
ALERT = "json://alerts.example/alert-secret"
ANN, VIC = {"Authorization": f"Bearer {ANNS}"}, {"Authorization": f"Bearer {VIEWS}"}
LAUNCH = "mutation { launchRun(executionParams: {}) { __typename } }"
STARTS = (
    "mutation { launchRun(executionParams: {selector: {repositoryLocationName: 'backtest_pipeline', "
    "repositoryName: '__repository__', jobName: 'backtest'}, "
    "runConfigData: {strategy: {buy_and_hold: {}}, symbols: ['IBM']}}) { __typename } }"
).replace("'", '"')
RUNS = "{ runsOrError { ... on Runs { count } } }"
TASK = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
_numbers = itertools.count()


def asked(**changes: Any) -> BacktestRequest:
    """A small request that nobody has sent before."""
    fields = {"strategy": "buy_and_hold", "symbols": ["IBM"], "start": "2012-01-01", "end": "2012-03-01"}
    return BacktestRequest(**{**fields, "seed": next(_numbers), **changes})


@dataclass(frozen=True)
class Guarded:
    """A running service, and where its files lie."""

    service: LocalService
    settings: Settings

    @property
    def url(self) -> str:
        return self.service.url

    def graphql(self, query: str, headers: dict[str, str], **variables: Any) -> httpx.Response:
        content = {"query": query, "variables": variables}
        return httpx.post(f"{self.url}/graphql", json=content, headers=headers, timeout=30)

    def runs(self, headers: dict[str, str]) -> int:
        return int(self.graphql(RUNS, headers).json()["data"]["runsOrError"]["count"])

    def client(self, token: str = "") -> BacktestClient:
        return BacktestClient(self.url, token=token, data_root=self.settings.data_root)


@contextmanager
def served(settings: Settings, env: dict[str, str]) -> Iterator[Guarded]:
    service = LocalService(settings.model_copy(update={"reports_ahead": False}), port=free_port())
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # for the start only
            for name, value in env.items():
                patch.setenv(name, value)
            stack.enter_context(service.running(timeout_s=300))  # on a busy machine
        yield Guarded(service, settings)


def status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return 0
