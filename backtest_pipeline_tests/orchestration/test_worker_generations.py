"""Where workers come from: a copy of the code server's process, taken where that is sound."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from backtest_pipeline.orchestration.dagster_internals import library_server, warm_workers, worker_generations
from backtest_pipeline_tests.polling import PATIENCE_S, until
from backtest_pipeline_tests.processes import parent_of

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

_RENEWED = '''
import json, logging, os, sys
from pathlib import Path
from backtest_pipeline.orchestration.dagster_internals import warm_workers

STRATEGY = """
from backtest_pipeline import Strategy

MARKER = {marker!r}

class Marked(Strategy):
    name = "marked"

    def signals(self, candles, params):
        raise NotImplementedError
"""

def seen_by_worker(answer):
    server = os.getppid()
    answer.send({
        "marker": sys.modules["marked_strategies"].MARKER,
        "above": int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1]),
        "threads": len(os.listdir(f"/proc/{server}/task")),
    })

def saved(marker):
    Path(sys.argv[1]).write_text(STRATEGY.format(marker=marker))
    context = warm_workers.renewed_context(logging.getLogger())
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=seen_by_worker, args=(theirs,))
    worker.start()
    answer = ours.recv()
    worker.join()
    return answer

if __name__ == "__main__":
    print(json.dumps([os.getpid(), saved("first"), saved("second of all")]))
'''
_REFUSED = """
import threading
from backtest_pipeline.orchestration.dagster_internals import worker_generations
{before}
worker_generations.copy_this_process()
print(worker_generations.newest().is_running)
"""


def _output(program: str, *arguments: str, folder: Path, **environment: str) -> str:
    script = folder / "program.py"
    script.write_text(program)
    asked = [sys.executable, str(script), *arguments]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    arrow = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
    env = {**os.environ, **one_thread, **arrow, "DAGSTER_HOME": str(folder), **environment}
    ended = subprocess.run(asked, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
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
def test_a_reload_imports_all_but_the_libraries_anew(tmp_path: Path) -> None:
    places = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"BACKTEST_STRATEGIES": "marked_strategies", "PYTHONPATH": places}
    strategies = str(tmp_path / "marked_strategies.py")
    pid, first, second = json.loads(_output(_RENEWED, strategies, folder=tmp_path, **own))
    assert (first["marker"], second["marker"]) == ("first", "second of all")
    assert first["above"] == second["above"] != pid
    assert (first["threads"], second["threads"]) == (1, 1)


@pytest.mark.slow
def test_hardly_any_library_is_left_to_import_after_a_reload(tmp_path: Path) -> None:
    program = f"""
import sys
from importlib import import_module
from backtest_pipeline.orchestration.dagster_internals.library_server import LIBRARIES
for name in LIBRARIES:
    import_module(name)
before = set(sys.modules)
import {worker_generations.PRELOAD}
others = {{*sys.stdlib_module_names, "backtest_pipeline"}}
foreign = {{name for name in sys.modules if name.partition(".")[0] not in others}}
print(len(foreign - before) / len(foreign))
"""
    assert float(_output(program, folder=tmp_path)) < 0.05


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


def _tell_ancestors(answer: Connection) -> None:
    server = os.getppid()
    answer.send((server, parent_of(server)))


def _ancestors_of_a_worker() -> tuple[int, int]:
    """The fork server that the next worker comes from, and the process that has started that."""
    context = warm_workers.WarmContext()
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=_tell_ancestors, args=(theirs,))
    worker.start()
    theirs.close()
    found: tuple[int, int] = ours.recv()
    worker.join()
    ours.close()
    return found


@pytest.mark.slow
def test_a_fork_server_that_dies_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = "backtest_pipeline.orchestration.dagster_internals.warm_workers"  # what a worker needs at least
    monkeypatch.setattr(library_server, "LIBRARIES", (workers,))
    monkeypatch.setattr(library_server, "_libraries", library_server._LibraryServer())
    monkeypatch.setattr(worker_generations, "PRELOAD", workers)
    monkeypatch.setattr(worker_generations, "_newest", worker_generations.Generation())
    worker_generations.renew()
    server, libraries = _ancestors_of_a_worker()
    assert libraries != os.getpid()
    os.kill(server, signal.SIGKILL)
    until(lambda: not worker_generations.newest()._process.is_alive(), "its end to be known")  # type: ignore[attr-defined]
    following, above = _ancestors_of_a_worker()
    assert following != server
    assert above == os.getpid(), "a usual one"
    worker_generations.newest().retire()
    library_server.release(library_server._libraries._server)
