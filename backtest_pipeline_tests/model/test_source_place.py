"""The line of somebody's own code that an error went through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backtest_pipeline.model.source_place import SourcePlace, place_raised


def _raised_by(call: object) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011  whatever it is
        call()  # type: ignore[operator]  # a function
    return caught.value


def test_the_line_that_asked_a_library_is_shown_and_not_the_library_s() -> None:
    def asks() -> object:
        return np.zeros(3).reshape(7)

    place = place_raised(_raised_by(asks))
    assert place is not None
    assert (Path(place.file), place.source) == (Path(__file__), "return np.zeros(3).reshape(7)")


def test_a_file_that_is_no_python_is_shown_with_the_line_that_is_not() -> None:
    place = place_raised(_raised_by(lambda: compile("a = 1\nb = = 2\n", "/home/me/mine.py", "exec")))
    assert place == SourcePlace("/home/me/mine.py", 2, "b = = 2")
    assert str(place) == "mine.py line 2: b = = 2"


def test_an_error_of_libraries_alone_has_no_place() -> None:
    error = _raised_by(lambda: np.zeros(3).reshape(7))
    error.__traceback__ = None
    assert place_raised(error) is None


def test_a_long_line_is_cut() -> None:
    place = place_raised(_raised_by(lambda: compile(f"b = = {'2' * 500}\n", "mine.py", "exec")))
    assert place is not None
    assert len(place.source) == 161
