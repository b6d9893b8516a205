"""The Dockerfile, as far as it can be judged without building it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def _copied() -> list[str]:
    """What is copied from this folder into an image."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def _needs(name: str, extras: set[str]) -> set[tuple[str, frozenset[str]]]:
    """What an installed package says that it needs on this machine."""
    found: set[tuple[str, frozenset[str]]] = set()
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            found.add((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def test_everything_copied_exists_and_is_let_in() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[1] == "*"  # whatever is not named stays out, secrets and data above all
    let_in = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    for source in _copied():
        assert (ROOT / source).exists(), source
        assert any(source == entry or source.startswith(f"{entry}/") for entry in let_in), source
    assert all(any(source.startswith(entry) for source in _copied()) for entry in let_in)


def test_no_image_ends_as_root() -> None:
    last_of_stage = [stage.rpartition("\nUSER ")[2].split()[0] for stage in DOCKERFILE.split("\nFROM ")[2:]]
    assert last_of_stage == ["1000:1000", "1000:1000"]  # pipeline, proxy; the builder's files alone go on


def test_the_image_gets_all_that_running_needs_and_none_of_the_tests_tools() -> None:
    """The judge is what the installed packages say of themselves; the script reads the lock's remarks."""
    script = ROOT / "scripts" / "deploy" / "runtime_requirements.py"
    printed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    listed = {
        canonicalize_name(name)
        for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", printed, re.MULTILINE)
    }
    waiting, seen = [("backtest-pipeline", frozenset({"celery", "exchanges", "postgres"}))], set()
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += _needs(one[0], set(one[1]))
    needed = {name for name, _ in seen} - {"backtest-pipeline"}
    assert needed <= listed
    for name in listed - needed:  # of other systems and other versions of Python
        _is_absent_or_conditional(name, printed)
    assert not listed & {"pytest", "mypy", "ruff", "hypothesis", "playwright", "ta-lib", "bokeh-sampledata"}
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", lock, re.MULTILINE)
    kept = re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", printed, re.MULTILINE)
    assert sorted(kept) == sorted(name for name in entries if canonicalize_name(name) in listed)


def _is_absent_or_conditional(name: str, printed: str) -> None:
    entry = re.search(rf"^{re.escape(name)}(\[.*\])?==[^\n]*", printed, re.MULTILINE)
    assert entry is not None
    if ";" in entry[0]:
        return
    try:
        distribution(name)
    except PackageNotFoundError:
        return
    raise AssertionError(f"{name} is installed and unconditional, and nobody at run time needs it")
