from __future__ import annotations

import subprocess
import sys
import traceback

from backtest_pipeline.model import errors


def _parents(drawn: list[tuple[int, str]]) -> dict[str, str]:
    """Which error each line stands below: the nearest line above that begins further left."""
    open_at: list[tuple[int, str]] = [(0, "BacktestError")]
    parents = {}
    for at, name in drawn:
        while open_at[-1][0] >= at:
            open_at.pop()
        parents[name] = open_at[-1][1]
        open_at.append((at, name))
    return parents


def test_the_docstring_draws_every_error_below_the_one_that_it_is_a_kind_of() -> None:
    drawn = [
        (line.index("── "), line.split("── ")[1].split()[0])
        for line in (errors.__doc__ or "").splitlines()
        if "── " in line
    ]
    assert len(drawn) == len(errors.__all__) - 1  # the root stands above the lines
    assert _parents(drawn) == {
        name: getattr(errors, name).__bases__[0].__name__
        for name in errors.__all__
        if name != "BacktestError"
    }


def test_a_traceback_names_an_error_by_the_path_that_it_is_imported_from() -> None:
    error = errors.RequestInvalid([("seed", "odd")])
    assert traceback.format_exception_only(error) == [
        "backtest_pipeline.model.errors.RequestInvalid: this request cannot be run: seed: odd\n"
    ]
    assert {getattr(errors, name).__module__ for name in errors.__all__} == {"backtest_pipeline.model.errors"}


def test_errors_load_nothing_heavy() -> None:
    code = (
        "import sys, backtest_pipeline.model.errors; print('numpy' in sys.modules, 'pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
