"""Where workers come from: a copy of the code server's process, taken where that is sound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_COPIED = """
import fcntl, json, logging, os, sys
from pathlib import Path
from backtest_pipeline.orchestration.dagster_internals import warm_workers, worker_generations

def seen_by_worker(answer):
    files = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    server = os.getppid()
    parent_of_server = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    answer.send({
        "server": server,
        "parent of server": parent_of_server,
        "holds the lock": sys.argv[1] in files,

    })

if __name__ == "__main__":
    worker_generations.copy_this_process()
    with open(sys.argv[1], "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        context = warm_workers.first_context(logging.getLogger())
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=seen_by_worker, args=(theirs,))
        worker.start()
        print(json.dumps({"context": type(context).__name__, "own": os.getpid(), **ours.recv()}))
        worker.join()
"""

_REFUSED = """
import threading
from backtest_pipeline.orchestration.dagster_internals import worker_generations
{before}
worker_generations.copy_this_process()
print(worker_generations.is_running())
"""


def _output(program: str, *arguments: str, folder: Path, **environment: str) -> str:
    script = folder / "program.py"
    script.write_text(program)
    asked = [sys.executable, str(script), *arguments]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    arrow = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
    env = {**os.environ, **one_thread, **arrow, "DAGSTER_HOME": str(folder), **environment}
    ended = subprocess.run(asked, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


@pytest.mark.slow
def test_workers_are_forked_from_a_copy_that_holds_nothing_which_came_later(tmp_path: Path) -> None:
    found = json.loads(_output(_COPIED, str(tmp_path / "code.lock"), folder=tmp_path))
    assert found["context"] == "WarmContext"
    assert found["parent of server"] == found["own"]
    assert found["server"] != found["own"]
    assert not found["holds the lock"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "strategies"),
    [
        ("threading.Thread(target=threading.Event().wait, daemon=True).start()", ""),
        ("", "no_such_strategies"),
    ],
    ids=["a process with another thread", "code that does not load"],
)
def test_no_copy_is_taken_where_it_would_not_be_sound(before: str, strategies: str, tmp_path: Path) -> None:
    program = _REFUSED.format(before=before)
    assert _output(program, folder=tmp_path, BACKTEST_STRATEGIES=strategies) == "False"
