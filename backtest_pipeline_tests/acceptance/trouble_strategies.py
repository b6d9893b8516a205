"""Strategies that make trouble, for the tests of what the pipeline does about it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import Field

from backtest_pipeline import Candles, Signals, Strategy, StrategyParams


class _Trouble(Strategy):
    """Base: buys at the first bar."""

    class Params(StrategyParams):
        seconds: float = Field(30.0, ge=0, description="how long it lasts")
        mark: str = Field("", description="file that remembers the first time")

    def signals(self, candles: Candles, params: Params) -> Signals:
        self.trouble(params)
        entry = np.zeros(len(candles), dtype=np.bool_)
        entry[0] = True
        return Signals(entry=entry)

    def is_first(self, params: Params) -> bool:
        """Whether no other call has left the mark, which this one leaves."""
        first = not Path(params.mark).exists()
        Path(params.mark).touch()
        return first

    @abstractmethod
    def trouble(self, params: Params) -> None: ...


class Slow(_Trouble):
    """Takes its time, in Python."""

    name = "slow"

    def trouble(self, params: _Trouble.Params) -> None:
        until = time.monotonic() + params.seconds
        while time.monotonic() < until:
            time.sleep(0.02)


class SlowOnce(Slow):
    """Takes its time the first time only."""

    name = "slow_once"

    def trouble(self, params: _Trouble.Params) -> None:
        if self.is_first(params):
            super().trouble(params)


class Stuck(_Trouble):
    """Is stuck in native code, which holds the interpreter's lock and sees no signal."""

    name = "stuck"

    def trouble(self, params: _Trouble.Params) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # else usleep ends early
        ctypes.PyDLL(None).usleep(ctypes.c_uint(int(params.seconds * 1e6)))


class DiesOnce(_Trouble):
    """Kills its worker the first time, as the kernel does when memory is short."""

    name = "dies_once"

    def trouble(self, params: _Trouble.Params) -> None:
        if self.is_first(params):
            os.kill(os.getpid(), signal.SIGKILL)


class DiesAlways(_Trouble):
    """Kills its worker every time."""

    name = "dies_always"

    def trouble(self, params: _Trouble.Params) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class DiskTroubleOnce(_Trouble):
    """Meets a disk error the first time."""

    name = "disk_trouble_once"

    def trouble(self, params: _Trouble.Params) -> None:
        if self.is_first(params):
            raise OSError(5, "Input/output error", params.mark)


class MemoryTroubleOnce(_Trouble):
    """Asks for more memory than there is the first time."""

    name = "memory_trouble_once"

    def trouble(self, params: _Trouble.Params) -> None:
        if self.is_first(params):
            np.ones(1 << 55)


class FillsDisk(_Trouble):
    """Fills the disk that its mark lies on."""

    name = "fills_disk"

    def trouble(self, params: _Trouble.Params) -> None:
        with suppress(OSError), Path(params.mark).open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4_096))
