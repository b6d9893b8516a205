"""A short spell of chaos: what `scripts/chaos` does for a minute, for some seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_is_lost_or_mixed_while_processes_are_killed_at_random() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "chaos.py")]
    arguments = ["--tasks", "12", "--seconds", "12", "--settle", "120", "--seed", "7"]
    chaos = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
    assert "verdict: nothing lost, nothing mixed" in chaos.stdout
