"""Importing thousands of modules at once, or only those that are used."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def quick_imports() -> Iterator[None]:
    """Pauses the garbage collector for the block, and has it leave alone whatever is there at the end.

    Next to nothing that modules make is garbage, and the search for it takes a sixth of the time that the
    imports of a process take.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def left_out(*optional: str) -> Iterator[None]:
    """Has imports in the block do without modules that they try to import and can miss."""
    absent = [name for name in optional if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # the import system's word for: there is none
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


class ImportedWhenUsed:
    """Stands for a module, which is imported when something of it is asked for."""

    def __init__(self, name: str) -> None:
        """Takes the module's full name."""
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(import_module(self._name), attribute)
        setattr(self, attribute, found)  # the next time, this is not called
        return found
