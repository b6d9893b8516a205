"""What a worker still does once its run has succeeded, so that nobody waits for it.

Only a worker process of ours postpones; anywhere else the work is done at once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NICENESS = 10
"""Of what comes after a run, so that the next run goes before it where processors are short."""

_postponed: list[Callable[[], object]] = []
_is_worker = False
_is_rehearsal = False
_logger = logging.getLogger(__name__)


def defer_until_finish() -> None:
    """Says that this process is a worker, which will call `finish`."""
    global _is_worker  # noqa: PLW0603  a process is a worker or is none
    _is_worker = True


@contextmanager
def left_out() -> Iterator[None]:
    """What is postponed in the block is never done: a rehearsal's pictures are looked at by nobody."""
    global _is_rehearsal  # noqa: PLW0603  as above
    _is_rehearsal = True
    try:
        yield
    finally:
        _is_rehearsal = False


def later(work: Callable[[], object]) -> None:
    """Does the work after the run has ended, or now where this process is no worker."""
    if _is_rehearsal:
        return
    if _is_worker:
        _postponed.append(work)
    else:
        _do(work)


def finish() -> None:
    """Does what was postponed, as the last that this process does, behind whatever is waited for.

    Trouble with it is logged and is nobody else's.
    """
    if _postponed:
        os.nice(_NICENESS)
    while _postponed:
        _do(_postponed.pop(0))


def _do(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001  the run has succeeded, whatever happens now
        _logger.warning("work after a run failed: %r", error)
