"""What is compiled ahead of time: all there is, so that no container compiles what its image lacks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import backtest_pipeline

_PACKAGE = Path(backtest_pipeline.__file__).parent
_NAMES = """
import sys
from backtest_pipeline.workflows.warm_kernels import warm_kernels
warm_kernels()
print(*sys.modules)
"""


def test_every_module_with_a_kernel_is_among_those_that_are_warmed() -> None:
    sources = [
        path
        for path in _PACKAGE.rglob("*.py")
        if re.search(r"^\s*@compiled\b", path.read_text(), re.MULTILINE)
    ]
    names = {
        ".".join(("backtest_pipeline", *path.relative_to(_PACKAGE).with_suffix("").parts)) for path in sources
    }
    assert len(names) > 15
    # In a process of its own, as the tests beside this one have imported much.
    done = subprocess.run([sys.executable, "-c", _NAMES], capture_output=True, text=True, check=True)
    assert names - set(done.stdout.split()) == set()
