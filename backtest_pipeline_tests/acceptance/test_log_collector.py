"""The way to a collector that docs/operations.md shows, with Debian's rsyslog."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from backtest_pipeline.orchestration.tasks.log_lines import json_line, lines_about
from backtest_pipeline_tests.docs.pages import ROOT, blocks
from backtest_pipeline_tests.polling import until

pytestmark = pytest.mark.machines


def test_lines_arrive_as_they_were_written(tmp_path: Path) -> None:
    assert shutil.which("rsyslogd"), "rsyslog is not installed; scripts/test -m machines installs it"
    [printed] = [
        block.text
        for block in blocks((ROOT / "docs" / "operations.md").read_text())
        if "$programname" in block.text
    ]
    kept, socket, config = tmp_path / "backtest.jsonl", tmp_path / "log.sock", tmp_path / "rsyslog.conf"
    here = printed.replace("/var/log/backtest.jsonl", str(kept)).replace("logs.example.com", "127.0.0.1")
    config.write_text(
        f'global(workDirectory="{tmp_path}" maxMessageSize="64k")\n'
        'module(load="imuxsock" SysSock.Use="off")\n'
        f'input(type="imuxsock" Socket="{socket}")\n{here}'
    )
    with lines_about({"task": "t", "attempt": 2}):
        lines = [json_line(text, level="INFO", logger="run", at_s=0) for text in ('said "so"', "가격 100%")]
    command = ["rsyslogd", "-n", "-f", str(config), "-i", str(tmp_path / "pid")]
    with subprocess.Popen(command) as collector:
        try:
            until(socket.exists, "rsyslog to listen")
            handed_on = ["logger", "--tag", "backtest", "--size", "64KiB", "-u", str(socket)]
            subprocess.run(handed_on, input="\n".join(lines) + "\n", text=True, check=True)
            until(lambda: kept.exists() and len(kept.read_text().splitlines()) == 2, "the lines")
        finally:
            collector.terminate()
    found = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [one["message"] for one in found] == ['said "so"', "가격 100%"]
    assert {(one["task"], one["attempt"]) for one in found} == {("t", 2)}
