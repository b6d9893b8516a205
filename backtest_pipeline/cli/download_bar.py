"""A download with something to look at: how far it is, how quick, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

from backtest_pipeline.cli.output import stderr

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.downloads import DownloadProgress

LINE_EVERY_S = 10.0

Show = Callable[["DownloadProgress"], None]


@contextmanager
def download_bar(monotonic_s: Callable[[], float] = time.monotonic) -> Iterator[Show]:
    """A live bar on a terminal, or a line every ten seconds elsewhere, on stderr.

    Args:
        monotonic_s: seconds that only grow, from any beginning.
    """
    began_s = monotonic_s()
    if not stderr.is_terminal:
        next_s = began_s + LINE_EVERY_S

        def tell(progress: DownloadProgress) -> None:
            nonlocal next_s
            now_s = monotonic_s()
            if now_s >= next_s:
                next_s = now_s + LINE_EVERY_S
                line = f"{progress.done_frac:>4.0%} {speed_text(progress, now_s - began_s)} {progress.label}"
                stderr.print(line, highlight=False, markup=False, soft_wrap=True)

        yield tell
        return
    columns = (SpinnerColumn(), BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=stderr.itself, transient=True) as bars:
        bar = bars.add_task("asking for the markets", total=1.0)

        def show(progress: DownloadProgress) -> None:
            text = speed_text(progress, monotonic_s() - began_s)
            bars.update(bar, completed=progress.done_frac, description=f"{text} {progress.label}")

        yield show


def speed_text(progress: DownloadProgress, elapsed_s: float) -> str:
    """Candles a second, series, and the time left at the speed so far."""
    text = f"{progress.ended} of {progress.series} series"
    if elapsed_s > 0:
        text += f", {progress.rows / elapsed_s:,.0f} candles/s"
    if progress.done_frac >= 1:
        return text
    if progress.done_frac > 0:
        left_s = round(elapsed_s / progress.done_frac - elapsed_s)
        hours, rest_s = divmod(left_s, 3_600)
        minutes, seconds = divmod(rest_s, 60)
        left = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        text += f", {left} left"
    return text
