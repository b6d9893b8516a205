"""The commands of `backtest`, which are imported when they are called."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import pytest
import typer
from typer.testing import CliRunner

from backtest_pipeline.cli.command_group import PLACES, summary_of
from backtest_pipeline.cli.main import app


def test_a_misspelt_command_is_answered_with_the_name_most_like_it() -> None:
    refused = CliRunner().invoke(app, ["lst"])
    assert refused.exit_code == 2
    assert "there is no command 'lst' (did you mean list?)" in refused.output


@pytest.mark.parametrize("name", PLACES)
def test_a_command_is_listed_by_what_its_own_help_begins_with(name: str) -> None:
    module, function = PLACES[name]
    found = getattr(import_module(f"backtest_pipeline.cli.commands.{module}"), function)
    said = found.info.help if isinstance(found, typer.Typer) else found.__doc__.partition("\n")[0]
    assert summary_of(module, function) == said
    help_of_it = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert help_of_it.exit_code == 0
    assert said in " ".join(help_of_it.stdout.split())


def test_every_command_stands_in_the_help_under_both_of_its_names() -> None:
    for option in ("--help", "-h"):
        done = CliRunner().invoke(app, [option])
        assert done.exit_code == 0
        listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ")}
        assert set(PLACES) <= listed


def test_the_version_is_that_of_the_installed_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"backtest-pipeline {version('backtest-pipeline')}\n")


def test_a_command_that_does_not_exist_is_a_mistake_of_usage() -> None:
    done = CliRunner().invoke(app, ["backtset"])
    assert done.exit_code == 2
    assert "backtset" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--help"], ["pandas", "numba", "pyarrow", "httpx", "dagster"]),
        (["up", "--help"], ["pandas", "numba", "pyarrow", "dagster"]),
    ],
)
def test_a_command_imports_nothing_that_it_does_not_use(arguments: list[str], unused: list[str]) -> None:
    program = (
        "import atexit, sys\n"
        "from backtest_pipeline.cli.main import app\n"
        f"atexit.register(lambda: print([name for name in {unused!r} if name in sys.modules]))\n"
        f"app({arguments!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
