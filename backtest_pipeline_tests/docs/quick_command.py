"""Runs `backtest …` and Python files in processes forked from one that has imported all they need.

A page has many commands, and each would spend more than a second on imports alone. What a fork skips, the
tests of the command line do not.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from backtest_pipeline_tests.polling import PATIENCE_S

ROOT = Path(__file__).parents[2]
_MODULE = "backtest_pipeline_tests.docs.quick_command"
_IMPORTED = (
    "backtest_pipeline.workflows.run_backtest",
    "backtest_pipeline.cli.main",
    "backtest_pipeline.orchestration.tasks.expiry",
    "backtest_pipeline.reports.comparison",
    "backtest_pipeline.reports.report",
    "backtest_pipeline.sdk.client",
    "backtest_pipeline.candles.store_check",
    "backtest_pipeline.candles.importer",
)
_STAND_IN = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    asked = json.dumps({{"arguments": sys.argv, "folder": os.getcwd(), "env": dict(os.environ)}}).encode()
    socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(asked)
    told = server.recv(1)
sys.exit(told[0] if told else "the command died")
"""


@contextmanager
def quick_commands(folder: Path) -> Iterator[Path]:
    """Yields a folder with a quick `backtest` and a quick `run-python`, to be put first on the path."""
    address = folder / "commands.sock"
    programs = folder / "bin"
    programs.mkdir()
    for name in ("backtest", "run-python"):
        program = programs / name
        program.write_text(_STAND_IN.format(python=sys.executable, socket=str(address)))
        program.chmod(0o755)
    server = subprocess.Popen([sys.executable, "-m", _MODULE, str(address)], cwd=ROOT)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not address.exists():
            assert server.poll() is None, "the server of quick commands has ended"
            assert time.monotonic() < deadline, "the server of quick commands does not come up"
            time.sleep(0.05)
        yield programs
    finally:
        server.terminate()
        server.wait()


def _serve(address: str) -> None:
    for module in _IMPORTED:
        import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen()
        os.rename(f"{address}.new", address)  # noqa: PTH104  there once it listens
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    _answer(connection)


def _answer(connection: socket.socket) -> None:
    """Runs one command with the streams, folder and environment of whoever asked, and tells its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    wanted = int.from_bytes(length, "big")
    received = b""
    while len(received) < wanted:
        received += connection.recv(wanted - len(received))
    asked = json.loads(received)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["env"])
    connection.sendall(bytes([_status_of(asked["arguments"])]))
    os._exit(0)


def _status_of(arguments: Sequence[str]) -> int:
    program, *rest = arguments
    try:
        if Path(program).name == "backtest":
            sys.argv = ["backtest", *rest]
            from backtest_pipeline.cli.main import main  # noqa: PLC0415  imported before the fork

            main()
        else:
            sys.argv = list(rest)
            sys.path[0] = os.getcwd()  # noqa: PTH109  as for a script in the folder
            runpy.run_path(rest[0], run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException as error:  # noqa: BLE001  a traceback on stderr, as Python does
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    _serve(sys.argv[1])
