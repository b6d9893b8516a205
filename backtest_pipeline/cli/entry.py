"""Where the command `backtest` begins: nothing is imported before Ctrl-C has an answer."""

from __future__ import annotations

import os
import signal
import sys

_SUBMITTING = {"run", "submit", "sweep", "walk-forward"}
_FAILED, _INTERRUPTED = 1, 130


def main() -> None:
    """Runs the command line; interrupted, it ends with status 130 and no traceback, also while it imports."""
    try:
        from backtest_pipeline.cli.first_look import missing_server  # noqa: PLC0415  see above

        if problem := missing_server(sys.argv[1:]):
            print(f"backtest: {problem}", file=sys.stderr)  # noqa: T201  the command line speaks
            sys.exit(_FAILED)
        from backtest_pipeline.cli.main import main as run  # noqa: PLC0415  which takes longer than looking

        run()
    except (KeyboardInterrupt, SystemExit) as end:
        interrupt = _interrupt_behind(end)
        if interrupt is None:
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # another one has nothing left to stop
        if _SUBMITTING & set(sys.argv[1:2]) and not interrupt.args:
            print("\nno task was submitted", file=sys.stderr)  # noqa: T201  the command line speaks
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_INTERRUPTED)  # a request that is under way keeps no thread waiting


def _interrupt_behind(end: BaseException) -> KeyboardInterrupt | None:
    """The interrupt that has ended the program, which Typer turns into an exit with status 130."""
    if isinstance(end, SystemExit) and end.code != _INTERRUPTED:
        return None
    behind: BaseException | None = end
    while behind is not None and not isinstance(behind, KeyboardInterrupt):
        behind = behind.__cause__ or behind.__context__
    return behind
