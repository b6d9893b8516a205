"""How long commands take that people call by the hour, the whole process: wall clock and processor, medians.

They ask a server that answers at once, so that only the command itself is measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path

from scratch_service import say, table

from backtest_pipeline_tests.cli.test_light_imports import Pipeline

COMMANDS = (["--help"], ["list"], ["status", "a"], ["submit", "sma_cross", "--symbols", "AAPL"])
BACKTEST = Path(sys.executable).with_name("backtest")


def main() -> None:
    """Measures each command in turn, as often as is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--quick", dest="times", action="store_const", const=5)
    times = parser.parse_args().times
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pipeline)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {**os.environ, "BACKTEST_URL": f"http://127.0.0.1:{server.server_port}"}
    taken: dict[str, list[tuple[float, float]]] = {}
    for _ in range(times):
        for words in COMMANDS:
            taken.setdefault(words[0], []).append(_call(words, env))
    server.shutdown()
    rows = [
        (
            f"backtest {name}",
            "{:.2f} s, processor {:.2f} s".format(*map(statistics.median, zip(*each, strict=True))),
        )
        for name, each in taken.items()
    ]
    say(table(rows))


def _call(words: list[str], env: dict[str, str]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([BACKTEST, *words], env=env, stdout=subprocess.DEVNULL, check=True)  # noqa: S603  our own
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
