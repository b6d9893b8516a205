"""A worker process: forked with all that its parent has loaded, ended with it."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1  # of Linux: <sys/prctl.h>
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, eq=False, slots=True)
class ForkedWorker:
    """A worker as its parent sees it.

    Attributes:
        pid: its process.
        connection: takes pickled calls and gives their outcomes; it ends when the process does.
    """

    pid: int
    connection: Connection


def fork_worker(
    enter: Callable[..., object] | None, arguments: tuple[Any, ...], others: Iterable[Connection]
) -> ForkedWorker:
    """Forks a worker.

    Its parent is the thread that calls: the worker ends, whatever it does, when that thread has ended.

    Args:
        enter: called in the worker before its first call; a worker in which it raises ends.
        arguments: what `enter` is called with; nothing is pickled.
        others: the parent's connections to other workers, which the new one has to let go of: as long as it
            held one, its owner would not see that the parent is gone.
    """
    ours, theirs = Pipe()
    parent_pid = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_worker(theirs, [ours, *others], parent_pid, enter, arguments)
    theirs.close()
    return ForkedWorker(pid, ours)


def packed_call(call: Callable[..., object], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> bytes:
    """A call as a worker takes it."""
    return pickle.dumps((call, arguments, keywords), pickle.HIGHEST_PROTOCOL)


def unpacked_outcome(content: bytes) -> tuple[Any, BaseException | None]:
    """What a worker answers: what the call has returned, or what it has raised."""
    value, error = pickle.loads(content)  # noqa: S301  of our own process
    return value, error


def _be_worker(
    connection: Connection,
    others: Iterable[Connection],
    parent_pid: int,
    enter: Callable[..., object] | None,
    arguments: tuple[Any, ...],
) -> NoReturn:
    """Works until the parent has no more calls, and ends without the exit handlers of the copied process."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        end_with_parent(parent_pid)
        for other in others:
            other.close()
        if enter is not None:
            enter(*arguments)
        _answer_calls(connection)
        status = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        status = 0  # the parent is gone, or needs no worker any more
    except BaseException:  # noqa: BLE001  the last place where it can be shown
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def end_with_parent(parent_pid: int) -> None:
    """Lets the system kill this process with its parent, or ends it where that is gone by now.

    Elsewhere than on Linux it ends after the call that it is at.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it was gone before
        os._exit(0)


def _answer_calls(connection: Connection) -> None:
    while True:
        call, arguments, keywords = pickle.loads(connection.recv_bytes())  # noqa: S301  as above
        try:
            answer = pickle.dumps((call(*arguments, **keywords), None), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001  whose it is, is asked where the call was made
            answer = pickle.dumps((None, _portable(error)), pickle.HIGHEST_PROTOCOL)
        connection.send_bytes(answer)
        del call, arguments, keywords, answer  # while it waits, it holds nothing


def _portable(error: Exception) -> Exception:
    """The error, or where it cannot be pickled or made again, one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  as above
    except Exception:  # noqa: BLE001  whatever its class does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
