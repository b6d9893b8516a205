"""What a container's health check says of a process that lives, hangs or stands still, and does about it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backtest_pipeline.web.monitoring.liveness import NOTICED_AFTER_S, Beacon, sign_file, started_of

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "deploy" / "health.py"


def _check(home: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr.strip()


def _change(home: Path, **changes: Any) -> None:
    path = sign_file(home, "daemon")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose sign of life is there."""
    Beacon(sign_file(tmp_path, "daemon")).sign()
    with subprocess.Popen(["sleep", "600"]) as process:  # noqa: S607  any process will do
        _change(tmp_path, pid=process.pid, started=started_of(process.pid))
        yield process
        process.kill()


def test_a_process_that_signs_is_well_and_one_that_never_has_is_not(tmp_path: Path) -> None:
    assert _check(tmp_path, "alive", "daemon")[0] == 1
    Beacon(sign_file(tmp_path, "daemon")).sign()
    assert _check(tmp_path, "alive", "daemon") == (0, "")
    assert _check(tmp_path, "alive", "daemon", "http", "http://127.0.0.1:9/healthz")[0] == 1, "both are asked"
    Beacon(sign_file(tmp_path, "daemon")).sign("the loop sensor has stood still for 12 s in acquire")
    assert _check(tmp_path, "alive", "daemon") == (
        1,
        "daemon: the loop sensor has stood still for 12 s in acquire",
    )


def test_silence_is_told_and_the_process_left_alone_for_a_minute(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    _change(tmp_path, at_s=time.time() - NOTICED_AFTER_S - 5)
    status, words = _check(tmp_path, "alive", "daemon")
    assert (status, words.startswith("daemon: no sign of life for 1")) == (1, True)
    assert sleeper.poll() is None


@pytest.mark.slow
def test_a_process_that_hangs_for_a_minute_is_killed_by_its_own_id(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    _change(tmp_path, at_s=time.time() - 61)
    status, words = _check(tmp_path, "alive", "daemon")
    assert (status, f"process {sleeper.pid} was killed" in words) == (1, True)
    assert sleeper.wait(30) == -signal.SIGKILL


def test_an_old_sign_of_a_process_whose_id_another_one_has_now_kills_nobody(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    _change(tmp_path, at_s=time.time() - 3_600, started=started_of(sleeper.pid) - 1)
    status, words = _check(tmp_path, "alive", "daemon")
    assert (status, "was killed" in words) == (1, False)
    assert sleeper.poll() is None


def test_every_process_of_ours_in_the_compose_file_is_asked_for_its_own_signs() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    asked = {
        name: service["healthcheck"]["test"][4]
        for name, service in services.items()
        if "alive" in service.get("healthcheck", {}).get("test", [])
    }
    ports = {name: service["expose"][0] for name, service in services.items() if "expose" in service}
    wanted = {name: f"web-{ports[name]}" for name in ("web", "viewer")}
    assert asked == {"code": "code", "daemon": "daemon", "worker": "worker", **wanted}
