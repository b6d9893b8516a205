"""Calls through a broker: what it loses, and what dies with a call, is made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Any

import pytest

from backtest_pipeline.compute import broker_calls
from backtest_pipeline.compute.broker_calls import BrokerCalls, outcome_key
from backtest_pipeline.model.errors import WorkersDied
from backtest_pipeline_tests.polling import until


class Broker:
    """As much of Redis as is asked, in this process."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.life = "first"
        self.is_away = False

    def send(self, call_id: str, message: dict[str, Any]) -> None:
        self._refuse()
        self.sent.append((call_id, message))

    def mget(self, names: list[str]) -> list[str | None]:
        self._refuse()
        return [self.kept.get(name) for name in names]

    def info(self, _: str) -> dict[str, str]:
        self._refuse()
        return {"run_id": self.life}

    def exists(self, name: str) -> int:
        return int(name in self.kept)

    def set(self, name: str, value: str, ex: int) -> None:
        self.kept[name] = value

    def delete(self, *names: str) -> None:
        for name in names:
            self.kept.pop(name, None)

    def _refuse(self) -> None:
        if self.is_away:
            raise ConnectionError("the broker is away")

    def begun(self, call_id: str, worker: str) -> None:
        self.kept[outcome_key(call_id)] = json.dumps({"worker": worker})

    def done(self, call_id: str, value: int) -> None:
        self.kept[outcome_key(call_id)] = json.dumps({"worker": "w", "outcome": {"value": value}})


class Form:
    """Calls that say nothing."""

    def message(self, call: Callable[..., object], arguments: tuple[Any, ...]) -> dict[str, Any]:
        return {"arguments": list(arguments)}

    def outcome(self, message: Mapping[str, Any]) -> Any:
        if message["value"] < 0:
            raise ValueError("negative")
        return message["value"]


class Workers:
    """Workers that die when the test says so."""

    def __init__(self) -> None:
        self.lost: set[str] = set()

    def is_lost(self, worker: str) -> bool:
        return worker in self.lost


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def calls(broker: Broker, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokerCalls]:
    monkeypatch.setattr(broker_calls, "LOOK_FOR_LOSSES_EVERY_S", 0.01)
    monkeypatch.setattr(broker_calls, "SEND_AGAIN_AFTER_S", 0.01)
    made = BrokerCalls(broker.send, broker, Form(), workers)  # type: ignore[arg-type]  # as much of it as is asked
    yield made
    made.shutdown(cancel_futures=True)


def call() -> None:
    """Something to call."""


def sent(broker: Broker, count: int) -> str:
    """The id of the latest of so many messages, once it has been sent."""
    until(lambda: len(broker.sent) == count, "the message", 10)
    return broker.sent[-1][0]


def test_an_outcome_and_an_error_come_back(broker: Broker, calls: BrokerCalls) -> None:
    good, bad = calls.submit(call), calls.submit(call)
    sent(broker, 2)
    broker.done(broker.sent[0][0], 5)
    broker.done(broker.sent[1][0], -1)
    assert good.result(10) == 5
    with pytest.raises(ValueError, match="negative"):
        bad.result(10)


@pytest.mark.parametrize("loss", ["emptied", "another"])
def test_what_the_broker_has_forgotten_is_sent_again(broker: Broker, calls: BrokerCalls, loss: str) -> None:
    future = calls.submit(call)
    sent(broker, 1)
    until(lambda: bool(broker.kept), "the first look", 10)
    if loss == "emptied":
        broker.kept.clear()
    else:
        broker.life = "second"
    again = sent(broker, 2)
    broker.done(again, 7)
    assert future.result(10) == 7


def test_a_broker_that_is_away_is_waited_for(broker: Broker, calls: BrokerCalls) -> None:
    broker.is_away = True
    future = calls.submit(call)
    broker.is_away = False
    broker.done(sent(broker, 1), 3)
    assert future.result(10) == 3


def test_a_call_whose_worker_is_lost_is_made_by_another_and_given_up_after_the_third(
    broker: Broker, calls: BrokerCalls, workers: Workers
) -> None:
    future = calls.submit(call)
    for number in (1, 2, 3):
        broker.begun(sent(broker, number), f"w{number}")
        workers.lost.add(f"w{number}")
    with pytest.raises(WorkersDied, match="3 worker processes in a row have ended"):
        future.result(10)
    assert len(broker.sent) == 3


def test_a_call_that_is_given_up_ends_for_those_who_wait(broker: Broker, calls: BrokerCalls) -> None:
    future = calls.submit(call)
    sent(broker, 1)
    calls.shutdown(cancel_futures=True)
    with pytest.raises(CancelledError):
        future.result(10)
    with pytest.raises(RuntimeError, match="after the executor has been shut down"):
        calls.submit(call)
