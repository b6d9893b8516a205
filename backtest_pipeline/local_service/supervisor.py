"""Looking after the service's processes: start again what has ended, and what hangs for good."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from backtest_pipeline.local_service.process import Process
from backtest_pipeline.web.monitoring.liveness import ENDED_AFTER_S, NOTICED_AFTER_S, SignOfLife, read_sign
from backtest_pipeline.web.monitoring.watch import Patience

Report = Callable[[str], object]


@dataclass
class _Attended:
    """What is known of one process."""

    sign_file: Path
    seen: SignOfLife | None = None
    silence: Patience = field(default_factory=Patience)
    reported: str = ""


class Supervision:
    """Looks at each process once in a while; a hanging one is killed by its own process id.

    A process that has not given its first sign of life yet is starting: importing takes its time. Silence is
    counted by looks, so that a machine that slept, or was too busy for the supervisor itself, accuses nobody.
    """

    def __init__(
        self,
        processes: Mapping[str, Process],
        sign_files: Mapping[str, Path],
        report: Report,
        *,
        noticed_after_s: float = NOTICED_AFTER_S,
        ended_after_s: float = ENDED_AFTER_S,
        patience: Callable[[], Patience] = Patience,
    ) -> None:
        """Prepares.

        Args:
            processes: by name.
            sign_files: where each leaves its signs of life, by name.
            report: called with a line for people.
            noticed_after_s: silence after which it is reported.
            ended_after_s: silence after which it is killed and started again.
            patience: makes what counts the silence, for tests.
        """
        self._processes = processes
        self._patience = patience
        self._attended = {name: _Attended(path, silence=patience()) for name, path in sign_files.items()}
        self._report = report
        self._noticed_after_s = noticed_after_s
        self._ended_after_s = ended_after_s

    def look(self) -> None:
        """Looks at all of them once."""
        for name, process in self._processes.items():
            if process.exit_status is not None:
                self._report(f"{name} ended with status {process.exit_status}, starting it again")
                self._start(name, process)
            else:
                self._look_at(name, process)

    def _start(self, name: str, process: Process) -> None:
        self._attended[name] = _Attended(self._attended[name].sign_file, silence=self._patience())
        process.start()

    def _look_at(self, name: str, process: Process) -> None:
        known = self._attended[name]
        sign = read_sign(known.sign_file)
        if sign is None or sign.pid != process.pid:
            known.silence.look(same=False)
            return
        silent_s = known.silence.look(same=sign == known.seen)
        known.seen = sign
        if silent_s > self._ended_after_s and _can_write(known.sign_file.parent):
            self._report(
                f"{name} gave no sign of life for {silent_s:.0f} s, killing it and starting it again"
            )
            process.stop(grace_s=0)
            self._start(name, process)
        elif silent_s > self._noticed_after_s:
            after = f"it is killed and started again after {self._ended_after_s:.0f} s"
            self._tell_once(name, "silence", f"gives no sign of life (process {sign.pid}); {after}")
        elif sign.standstill:
            self._tell_once(name, "standstill", f"hangs: {sign.standstill}")
        else:
            self._tell_once(name, "", "gives signs of life again")

    def _tell_once(self, name: str, what: str, line: str) -> None:
        known = self._attended[name]
        if known.reported != what:
            known.reported = what
            self._report(f"{name} {line}")


def _can_write(folder: Path) -> bool:
    """Whether signs of life can be written at all: on a disk that takes none, silence proves nothing."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.write_text(str(time.time()))
    except OSError:
        return False
    with suppress(OSError):
        probe.unlink()
    return True
