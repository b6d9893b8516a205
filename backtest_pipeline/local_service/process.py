"""One long-running child process with its log file."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 65_536


class Process:
    """A child in a session of its own, stopped by its own process group and never by name.

    On Linux the child also gets a signal to stop when its parent dies, however the parent dies.
    """

    def __init__(self, name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._env = dict(env)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, or `None` before the start."""
        return None if self._child is None else self._child.pid

    @property
    def exit_status(self) -> int | None:
        """The child's exit status, or `None` while it runs."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Starts the child, appending its output to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603  our own commands
                self._command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  one thread
            )

    def ask_to_stop(self) -> None:
        """Asks the child to stop, and does not wait for it."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def stop(self, grace_s: float) -> None:
        """Asks the child to stop and kills its whole process group when it takes longer than `grace_s`."""
        self.ask_to_stop()
        if self._child is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(grace_s)
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def kill(self) -> None:
        """Kills the child at once, as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def last_words(self, lines: int = 60) -> str:
        """What the end of the log says, without the indented lines of stack traces."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
                end = log.read().decode(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return ""
        return "\n".join(line for line in end if line and not line[0].isspace())


def stop_all(processes: Collection[Process], grace_s: float) -> None:
    """Stops children side by side, each as `Process.stop` does, within one grace period."""
    deadline = time.monotonic() + grace_s
    for process in processes:
        process.ask_to_stop()
    for process in processes:
        process.stop(max(0.0, deadline - time.monotonic()))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
