"""What commands print, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from backtest_pipeline.cli import output
from backtest_pipeline.cli.output import coloured_metric, coloured_state, print_table, shown_size, sparkline


def test_a_sparkline_rises_with_its_values() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([7, 0], 60) == "█▁"
    assert sparkline([5.0, 5.0, 5.0], 60) == "▁▁▁"


def test_a_long_series_is_shown_by_the_last_value_of_each_share() -> None:
    values = [0.0] * 99 + [7.0]
    assert sparkline(values, 10) == "▁▁▁▁▁▁▁▁▁█"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (2e9, "2.0 GB"), (3.25e12, "3.2 TB")]
)
def test_sizes_are_in_units_of_a_thousand(size: float, text: str) -> None:
    assert shown_size(size) == text


def test_gains_are_green_losses_red_and_counts_have_no_colour() -> None:
    assert coloured_metric("total_return", 0.1).style == "green"
    assert coloured_metric("sharpe", -0.1).style == "red"
    assert coloured_metric("max_drawdown", 0.1).style == ""
    assert coloured_metric("total_return", None).plain == "-"
    assert coloured_state("failed").style == "red"


def test_brackets_in_a_users_text_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(output, "console", screen)
    print_table(("label",), [("[red]not a colour[/] [/nothing]",)])
    assert isinstance(screen.file, io.StringIO)
    assert "[red]not a colour[/] [/nothing]" in screen.file.getvalue()


def test_off_a_terminal_cells_are_plain_and_between_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("state", "return"), [(coloured_state("completed"), coloured_metric("total_return", 0.5))])
    assert capsys.readouterr().out == "state\treturn\ncompleted\t50.00%\n"
