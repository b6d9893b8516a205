"""Chunks of sweeps as JSON, for workers on other machines: what is asked of them and what they answer.

JSON rather than pickle: who can write to the broker must not be able to have any code run.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from backtest_pipeline.model.errors import BacktestError, WorkersDied, WorkerUnfit
from backtest_pipeline.research.space import Points
from backtest_pipeline.results.sweep_parts import PartDamaged
from backtest_pipeline.workflows.sweep_chunks import run_chunk, run_equity


class ChunkForm:
    """How the calls of `sweep_chunks` look as JSON."""

    def __init__(self, header: Mapping[str, Any]) -> None:
        """Takes what every message says beside its call: whose chunk it is."""
        self._header = dict(header)

    def message(self, call: Callable[..., object], arguments: tuple[Any, ...]) -> dict[str, Any]:
        """A call of `run_chunk` or `run_equity`."""
        if call is run_chunk:
            points, *which = arguments
            asked = {"chunk": _from_points(points), "which": which[0] if which else 0}
        elif call is run_equity:
            trial, chunk, *which = arguments
            asked = {"equity": [trial, chunk], "which": which[0] if which else 0}
        else:
            raise TypeError(f"{call!r} is not made by other machines")
        return {**self._header, **asked}

    def outcome(self, message: Mapping[str, Any]) -> Any:
        """What a chunk has answered; raises the error that it has met."""
        if "error" in message:
            raise _as_error(message["error"])
        if "facts" in message:
            return _as_table(message["facts"]), float(message["took_s"])
        return None


def made(message: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the call of a message in this process, which has begun its work, and returns its outcome."""
    try:
        if "chunk" in message:
            facts, took_s = run_chunk(_as_points(message["chunk"]), message["which"])
            return {"facts": _from_table(facts), "took_s": took_s}
        trial, chunk = message["equity"]
        run_equity(trial, chunk, message["which"])
    except Exception as error:  # noqa: BLE001  whose it is, is asked where the call was made
        return failed(error)
    return {}


def failed(error: BaseException) -> dict[str, Any]:
    """The outcome of a call that has raised, or could not be made."""
    facts: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, PartDamaged):
        facts["part"] = error.name
    elif isinstance(error, WorkersDied):
        facts["died"] = [error.workers, error.ended]
    elif isinstance(error, WorkerUnfit):
        facts["unfit"] = [error.host, error.differs]
    elif isinstance(error, OSError):
        facts["errno"] = [error.errno, error.strerror]
    elif isinstance(error, MemoryError):
        facts["memory"] = True
    elif isinstance(error, BacktestError):
        facts["retryable"] = error.retryable
    return {"error": facts}


def _as_error(facts: Mapping[str, Any]) -> Exception:
    for name, make in _ERRORS.items():
        if name in facts:
            return make(facts)
    return RuntimeError(f"{facts['type']}: {facts['message']}")


def _of_system(facts: Mapping[str, Any]) -> OSError:
    number, words = facts["errno"]
    return OSError(facts["message"]) if number is None else OSError(number, words)


def _of_ours(facts: Mapping[str, Any]) -> BacktestError:
    error = BacktestError(facts["message"])
    error.retryable = bool(facts["retryable"])
    return error


_ERRORS: dict[str, Callable[[Mapping[str, Any]], Exception]] = {
    "part": lambda facts: PartDamaged(facts["part"]),
    "died": lambda facts: WorkersDied(*facts["died"]),
    "unfit": lambda facts: WorkerUnfit(*facts["unfit"]),
    "errno": _of_system,
    "memory": lambda facts: MemoryError(facts["message"]),
    "retryable": _of_ours,
}


def _from_points(points: Points) -> dict[str, Any]:
    return {"first": points.first, "places": {key: _from_array(own) for key, own in points.places.items()}}


def _as_points(message: Mapping[str, Any]) -> Points:
    return Points(message["first"], {key: _as_array(own) for key, own in message["places"].items()})


def _from_array(array: Any) -> str:
    file = io.BytesIO()
    np.save(file, np.asarray(array), allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()


def _as_array(text: str) -> Any:
    return np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)


def _from_table(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def _as_table(text: str) -> pa.Table:
    return pa.ipc.open_stream(base64.b64decode(text)).read_all()
