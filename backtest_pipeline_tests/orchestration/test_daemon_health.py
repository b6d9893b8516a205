"""Daemons that have failed once, that fail always, that hang, and that live elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon import controller
from dagster._daemon.daemon import DaemonIterator, IntervalDaemon
from dagster._daemon.types import DaemonHeartbeat, DaemonStatus
from dagster_shared.error import SerializableErrorInfo

from backtest_pipeline.orchestration.dagster_internals import daemon_command as daemon
from backtest_pipeline.orchestration.dagster_internals import daemon_loops
from backtest_pipeline.orchestration.dagster_internals.daemon_loops import Naps, attended
from backtest_pipeline.orchestration.dagster_internals.service_health import daemon_silence, loop_problem
from backtest_pipeline.web.monitoring.liveness import Beacon, read_sign, sign_file
from backtest_pipeline_tests.polling import PATIENCE_S, until


class _Loop(IntervalDaemon[Any]):
    """A daemon of a type of Dagster's whose rounds end as the test says."""

    kind = "MONITORING"

    def __init__(self) -> None:
        super().__init__(interval_seconds=0)
        self.fails: Callable[[], str] = lambda: ""
        self.rounds = 0

    @classmethod
    def daemon_type(cls) -> str:
        return cls.kind

    def run_iteration(self, workspace_process_context: Any) -> DaemonIterator:
        self.rounds += 1
        how = self.fails()
        if how == "raises":
            raise RuntimeError("raised")
        if how == "yields":
            yield SerializableErrorInfo("yielded\n", [], "RuntimeError")
        yield None


class _Sensors(_Loop):
    kind = "SENSOR"


class _Schedules(_Loop):
    kind = "SCHEDULER"


@pytest.fixture(scope="module")
def shared_instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def instance(shared_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """An instance that knows of no daemon."""
    shared_instance.wipe_daemon_heartbeats()
    return shared_instance


@contextmanager
def _running(loop: _Loop, instance: dg.DagsterInstance) -> Iterator[None]:
    """The loop in a thread, as Dagster's controller runs it, half a minute between heartbeats."""
    over = threading.Event()
    context = SimpleNamespace(instance=instance)
    thread = threading.Thread(target=attended(loop).run_daemon_loop, args=(context, "id", over, 30.0, 300))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat(instance: dg.DagsterInstance, errors: list[str], kind: str) -> None:
    """A heartbeat of an earlier moment, as one that fell between an error and its end."""
    infos = [SerializableErrorInfo(words, [], "RuntimeError") for words in errors]
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), kind, "id", infos))


def _errors(instance: dg.DagsterInstance, kind: str) -> int:
    beat = instance.get_daemon_heartbeats().get(kind)
    return len(beat.errors or []) if beat else -1


@pytest.mark.parametrize("how", ["yields", "raises"])
def test_a_loop_that_failed_once_says_that_it_is_well_again_long_before_dagster_would(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(daemon_loops, "QUIET_S", 0.2)
    loop = _Loop()
    with _running(loop, instance):
        until(lambda: _errors(instance, loop.kind) == 0, "the first heartbeat")
        once = [how]
        loop.fails = lambda: once.pop() if once else ""
        until(lambda: not once, "the failure")
        _beat(instance, ["it has failed"], loop.kind)
        until(lambda: _errors(instance, loop.kind) == 0, "the recovery")


@pytest.mark.parametrize("how", ["yields", "raises"])
def test_a_loop_that_fails_again_and_again_is_never_called_well(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Every third round fails, the two between go well, and the rounds last no time."""
    monkeypatch.setattr(daemon_loops, "QUIET_S", 30.0)
    loop = _Loop()
    loop.fails = lambda: how if loop.rounds % 3 == 1 else ""
    with _running(loop, instance):
        until(lambda: loop.rounds > 2, "failures")
        _beat(instance, ["it has failed"], loop.kind)
        rounds = loop.rounds
        until(lambda: loop.rounds > rounds + 6, "some rounds more")
        assert _errors(instance, loop.kind) == 1


@pytest.mark.parametrize("loop", [_Sensors(), _Schedules()], ids=lambda loop: loop.kind)
def test_a_sensor_or_schedule_that_failed_is_well_when_it_has_been_evaluated_again_and_not_before(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, loop: _Loop
) -> None:
    monkeypatch.setattr(daemon_loops, "QUIET_S", 0.2)
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="backtest_pipeline")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), loop.kind)
    is_sensor = loop.kind == "SENSOR"
    kind = InstigatorType.SENSOR if is_sensor else InstigatorType.SCHEDULE
    data = SensorInstigatorData(min_interval=60) if is_sensor else ScheduleInstigatorData("0 3 * * *")
    state = InstigatorState(origin, kind, InstigatorStatus.RUNNING, data)
    instance.add_instigator_state(state)

    def tick(status: TickStatus) -> None:
        error = SerializableErrorInfo("failed", [], "Error") if status == TickStatus.FAILURE else None
        now_s, named = time.time(), {"selector_id": state.selector_id, "error": error}
        instance.create_tick(
            TickData(origin.get_id(), loop.kind, kind, status, now_s, **named)  # type: ignore[arg-type]  # mixed
        )

    tick(TickStatus.SKIPPED)
    once = ["yields"]
    loop.fails = lambda: once.pop() if once else ""
    with _running(loop, instance):
        until(lambda: not once, "the failure")
        tick(TickStatus.FAILURE)
        tick(TickStatus.STARTED)  # and the next evaluation has begun
        _beat(instance, ["it has failed"], loop.kind)
        rounds, until_s = loop.rounds, time.monotonic() + 0.6
        until(lambda: loop.rounds > rounds + 5 and time.monotonic() > until_s, "rounds that evaluate none")
        assert _errors(instance, loop.kind) == 1
        tick(TickStatus.SKIPPED)
        until(lambda: _errors(instance, loop.kind) == 0, "the recovery")


def test_a_sensor_that_was_switched_off_after_it_failed_accuses_nobody(
    instance: dg.DagsterInstance,
) -> None:
    memory = daemon_loops._Memory(_Sensors(), instance, time.monotonic)
    assert not memory._still_fails()
    monkeypatched = SimpleNamespace(
        all_instigator_state=lambda **_: [
            SimpleNamespace(status=InstigatorStatus.STOPPED, instigator_origin_id="a", selector_id="b")
        ],
        get_ticks=lambda *_, **__: [SimpleNamespace(status=TickStatus.FAILURE)],
    )
    memory._instance = monkeypatched  # type: ignore[assignment]  # as much of one as is asked
    assert not memory._still_fails()


def test_every_daemon_that_dagster_makes_is_attended(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("create_daemon_of_type", "QueuedRunCoordinatorDaemon", "EventLogConsumerDaemon"):
        monkeypatch.setattr(controller, name, getattr(controller, name))
    daemon.install()
    made = controller.create_daemons_from_instance(instance)
    assert len(made) >= 4
    assert all(one.core_loop.__module__ == daemon_loops.__name__ for one in made)


def test_a_nap_ends_when_its_time_is_over_or_the_daemon_is_to_end() -> None:
    event = threading.Event()
    started_s = time.monotonic()
    assert not Naps(event).wait(0.05)
    assert time.monotonic() - started_s >= 0.05
    assert not Naps(event).wait(0)
    threading.Timer(0.1, event.set).start()
    assert Naps(event).wait(PATIENCE_S)
    assert Naps(event).wait()
    assert Naps(event).is_set()
    assert time.monotonic() - started_s < PATIENCE_S


def _statuses(*beats: DaemonHeartbeat, now_s: float) -> dict[str, DaemonStatus]:
    """As Dagster judges heartbeats two minutes long."""
    return {
        beat.daemon_type: DaemonStatus(
            beat.daemon_type, required=True, healthy=now_s - beat.timestamp <= 120 and not beat.errors,
            last_heartbeat=beat,
        )
        for beat in beats
    }  # fmt: skip


def test_a_late_loop_is_told_from_one_that_fails() -> None:
    error = SerializableErrorInfo("dagster.Error: no such table\n  more", [], "Error")
    statuses = _statuses(
        DaemonHeartbeat(1_000.0, "SCHEDULER", "id", []),
        DaemonHeartbeat(1_100.0, "SENSOR", "id", [error]),
        DaemonHeartbeat(1_100.0, "BACKFILL", "id", []),
        now_s=1_121.0,
    )
    assert loop_problem(statuses, 1_121.0) == (
        "no fresh heartbeat of scheduler; start the daemon again, see its log; "
        "errors in sensor (dagster.Error: no such table); see the daemon's log"
    )
    never = {"SENSOR": DaemonStatus("SENSOR", required=True, healthy=False, last_heartbeat=None)}
    assert loop_problem(never, 0.0).startswith("no fresh heartbeat of sensor")


def test_a_daemons_silence_is_told_after_ten_seconds_unless_another_daemon_lives(tmp_path: Path) -> None:
    assert daemon_silence(tmp_path, None, time.time()) == "", "it leaves no signs here"
    beacon = Beacon(sign_file(tmp_path, "daemon"))
    beacon.sign()
    sign = read_sign(sign_file(tmp_path, "daemon"))
    assert sign is not None
    at_s = sign.at_s
    assert daemon_silence(tmp_path, at_s, at_s + 10) == ""
    told = daemon_silence(tmp_path, at_s - 3, at_s + 11)
    assert told.startswith(f"no sign of life for 11 s (process {sign.pid}); ")
    assert daemon_silence(tmp_path, None, at_s + 11) == told, "the database is away"
    assert daemon_silence(tmp_path, at_s + 8, at_s + 11) == "", "somebody's heartbeat is younger"
    beacon.sign("the loop sensor has stood still for 12 s in acquire")
    assert "the loop sensor has stood still for 12 s" in daemon_silence(tmp_path, at_s, time.time())
