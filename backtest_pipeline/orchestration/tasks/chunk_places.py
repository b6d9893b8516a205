"""Where the chunks of a search are worked on: in processes of this machine, or on all machines there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backtest_pipeline.compute.local_processes import LocalProcesses

if TYPE_CHECKING:
    from concurrent.futures import Executor


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """What another machine has to know of a search to work on its chunks.

    Attributes:
        key: of its parts.
        config: the run's.
        code: which code runs.
        facts: what the key is the digest of, for machines to compare with what they have.
    """

    key: str
    config: Mapping[str, Any]
    code: str
    facts: Mapping[str, Any]


Elsewhere = Callable[[SearchRecord], AbstractContextManager[tuple["Executor", int]]]
_elsewhere: list[Elsewhere] = []


def work_elsewhere(place: Elsewhere) -> None:
    """Has others work on this process's searches: `place` yields an executor and how many work at once."""
    _elsewhere[:] = [place]


@contextmanager
def chunk_place(
    record: Callable[[], SearchRecord], begin: Callable[[], object], processes: int
) -> Iterator[tuple[Executor, int]]:
    """What runs chunks, and how many at once.

    Args:
        record: of the search, asked for where others work on it.
        begin: makes a process of this machine ready for it.
        processes: how many of those there are to be.
    """
    if _elsewhere:
        with _elsewhere[0](record()) as place:
            yield place
        return
    with LocalProcesses(processes, initializer=begin) as executor:
        yield executor, processes
