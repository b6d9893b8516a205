"""What commands do without: a library that takes long to import would be felt at each call of the shell."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline_tests.sdk.stand_ins import run

HEAVY = {
    "arch", "asyncio", "bokeh", "dagster", "grpc", "httpx._main", "matplotlib", "numba", "numpy", "optuna",
    "pandas", "pyarrow", "pydantic_settings", "scipy", "sqlalchemy", "yaml",
}  # fmt: skip
ONLY_FOR_PEOPLE = {"rich.progress", "rich.markdown", "typer.rich_utils"}
_REPORTING = """
import sys
from backtest_pipeline.cli.entry import main
try:
    main()
finally:
    print("\\n".join(["imported:", *sys.modules]))
"""


class Pipeline(BaseHTTPRequestHandler):
    """Takes every submission as the task `a`, and knows no other."""

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["content-length"])))["query"]
        task = run("a", status="QUEUED", backtest__strategy="sma_cross")
        runs = {"__typename": "Runs", "results": [task]}
        answers: dict[str, Any] = {
            "Launch": {"launchRun": {"__typename": "LaunchRunSuccess", "run": task}},
            "Page": {"runsOrError": runs},
            "TaskRuns": {"taskRuns": [task]},
        }
        [answer] = [data for name, data in answers.items() if f" {name}(" in document]
        body = json.dumps({"data": answer}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pipeline)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _printed_and_imported(url: str, folder: Path, *words: str) -> tuple[str, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", _REPORTING, *words],
        env={"PATH": "", "HOME": str(folder), "BACKTEST_URL": url, "DATA_ROOT": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    printed, _, imported = done.stdout.partition("imported:\n")
    return printed, set(imported.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["submit", "sma_cross", "--symbols", "AAPL", "--param", "fast=5"], "a\n"),
        (["list"], "sma_cross"),
        (["status", "a"], "sma_cross"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_commands_that_ask_the_server_import_nothing_that_computes(
    url: str, tmp_path: Path, words: list[str], says: str
) -> None:
    printed, imported = _printed_and_imported(url, tmp_path, *words)
    assert says in printed
    assert not (HEAVY | ONLY_FOR_PEOPLE) & imported


@pytest.mark.parametrize("words", [["--help"], ["list", "--help"], ["submit", "--help"]], ids=" ".join)
def test_help_imports_nothing_that_computes(url: str, tmp_path: Path, words: list[str]) -> None:
    printed, imported = _printed_and_imported(url, tmp_path, *words)
    assert "Usage" in printed
    assert not HEAVY & imported
