"""Where in somebody's source an error was raised, as messages show it."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LONGEST_SOURCE = 160
_OURS = str(Path(__file__).resolve().parents[1])
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """A line of source.

    Attributes:
        file: path of the file, as Python names it.
        line: its number, from 1.
        source: what stands there, without the spaces around it; empty where it cannot be read.
    """

    file: str
    line: int
    source: str

    def __str__(self) -> str:
        """Return `my_strategies.py line 12: entry = closes > 1`, the file without its folders."""
        return f"{Path(self.file).name} line {self.line}" + (f": {self.source}" if self.source else "")


def place_raised(error: BaseException, owner: type | None = None) -> SourcePlace | None:
    """Return the innermost line of the user's own code that an error went through; None where there is none.

    That is the file that defines `owner`, or any that belongs neither to this package nor to an installed
    library: what a library was asked for is where the mistake is, not the line in the library.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return SourcePlace(error.filename, error.lineno, _short(error.text or ""))
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename, _file_of(owner))]
    return _place(own[-1]) if own and own[-1].lineno else None


def trace_of(error: BaseException) -> str:
    """Return an error's whole traceback, as Python prints it."""
    return "".join(traceback.format_exception(error))


def _place(frame: traceback.FrameSummary) -> SourcePlace:
    return SourcePlace(frame.filename, frame.lineno or 1, _short(frame.line or ""))


def _short(line: str) -> str:
    text = " ".join(line.split())
    return text if len(text) <= _LONGEST_SOURCE else f"{text[:_LONGEST_SOURCE]}…"


def _file_of(owner: type | None) -> str:
    try:
        return "" if owner is None else inspect.getfile(owner)
    except (OSError, TypeError):  # defined in a shell
        return ""


def _is_own(file: str, owners: str) -> bool:
    if file == owners:
        return True
    foreign: Sequence[str] = (_OURS, *_LIBRARIES)
    return not file.startswith(tuple(f"{folder}/" for folder in foreign)) and not file.startswith("<frozen ")
