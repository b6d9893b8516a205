"""No regular expression of the project is worse than linear in what it is given."""

from __future__ import annotations

import ast
import importlib
import math
import pkgutil
import re
import time
from pathlib import Path
from typing import Any

import pytest

import backtest_pipeline
from backtest_pipeline_tests.regex_attacks import attacks

PACKAGE = Path(backtest_pipeline.__file__).parent
SCRIPTS = PACKAGE.parent / "scripts"
MEBIBYTE = 1_048_576
_LENGTHS = (*range(8, 32, 4), 32, 128, 512, 4_096, 32_768, MEBIBYTE)
_SHORT = 512
_LEEWAY, _NOTICED_S, _TICK_S = 3.0, 0.005, 0.000_2
MOST_S = 2.0
"""CPU time for a mebibyte; what is linear takes some hundredths."""

_FUNCTIONS = {"compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn"}


def _in_modules() -> dict[str, re.Pattern[Any]]:
    """Patterns that modules of the package keep, whatever made them."""
    found = {}
    for module in pkgutil.walk_packages([str(PACKAGE)], "backtest_pipeline."):
        for name, value in vars(importlib.import_module(module.name)).items():
            for pattern in value if type(value) in {tuple, list, set, frozenset} else (value,):
                if isinstance(pattern, re.Pattern):
                    found[f"{module.name}.{name}"] = pattern
    return found


def _in_sources() -> dict[str, re.Pattern[Any]]:
    """Patterns that are written where they are used, in the package and the scripts."""
    found = {}
    for path in [*PACKAGE.rglob("*.py"), *SCRIPTS.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
                continue
            if node.func.attr in _FUNCTIONS:
                text = _text(node.args[0])
                assert text is not None, f"{path}:{node.lineno} hides its pattern; write it as a literal"
                found[f"{path.name}:{node.lineno}"] = re.compile(text, _flags(node))
    return found


def _text(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):  # what is filled in is escaped, and stands for a plain word
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "word" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        if isinstance(left, bytes) and isinstance(right, str):  # an escaped word
            right = right.encode()
        return None if left is None or right is None else left + right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "escape":
        return "word"
    return None


def _flags(node: ast.Call) -> int:
    names = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    return sum(
        int(getattr(re, name)) for name in names if name in {"DOTALL", "MULTILINE", "IGNORECASE", "VERBOSE"}
    )


def _taken_s(pattern: re.Pattern[Any], text: str) -> float:
    """CPU time of one look through a text, at most as many matches as a client would wait for."""
    subject = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
    started_s = time.thread_time()
    for _ in pattern.finditer(subject):
        pass
    return time.thread_time() - started_s


def _worst(pattern: re.Pattern[Any]) -> tuple[float, str]:
    """CPU time for a mebibyte of the worst text, and how that begins; infinite where it grows too fast.

    The lengths grow, so that what takes long is found out before it does: with a text eight times as long, a
    linear search takes eight times as long, a quadratic one sixty-four. Only the worst grow to a mebibyte.
    """
    worst = {text[:40]: 0.0 for text in attacks(pattern, _LENGTHS[0])}
    shorter = _LENGTHS[0]
    for length in _LENGTHS:
        found: dict[str, float] = {}
        most = _LEEWAY * length / shorter
        for text in attacks(pattern, length):
            if text[:40] in worst or length <= _SHORT:
                taken_s = _taken_s(pattern, text)
                if taken_s > _NOTICED_S and taken_s > most * max(worst.get(text[:40], 0.0), _TICK_S):
                    taken_s = min(taken_s, _taken_s(pattern, text))  # another process may have disturbed it
                    if taken_s > most * max(worst.get(text[:40], 0.0), _TICK_S):
                        return math.inf, text[:40]
                found[text[:40]] = max(found.get(text[:40], 0.0), taken_s)
        kept = sorted(found, key=lambda start: found[start])
        worst = {start: found[start] for start in (kept if length < _SHORT else kept[-2:])}
        shorter = length
    return max((taken_s, start) for start, taken_s in worst.items())


@pytest.mark.slow
def test_patterns_are_found_in_modules_and_in_sources() -> None:
    assert "backtest_pipeline.model.task_names._TASK_ID" in _in_modules()
    assert any(place.startswith("read_options.py:") for place in _in_sources())
    assert any(place.startswith("scratch_service.py:") for place in _in_sources())


@pytest.mark.slow
def test_no_pattern_is_worse_than_linear() -> None:
    places = {pattern: place for place, pattern in (_in_modules() | _in_sources()).items()}
    for pattern, place in places.items():
        taken_s, text = _worst(pattern)
        assert taken_s < MOST_S, f"{place}: {pattern.pattern!r} took {taken_s:.1f} s for {text!r} and so on"


@pytest.mark.parametrize(
    "pattern",
    [r"\s*\[SQL:.*", r'\s*(?:Traceback|^\s*File ".*", line \d+).*', r"(\d+)([hms])", r"(a+)+$", r"\w+Event"],
)
def test_patterns_that_are_worse_are_found_out(pattern: str) -> None:
    """Two that the web server once had, and three of the kind."""
    assert _worst(re.compile(pattern, re.DOTALL | re.MULTILINE))[0] >= MOST_S
