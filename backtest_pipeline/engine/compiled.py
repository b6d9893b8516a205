"""How kernels are compiled: ahead of time, into Numba's cache, without shortcuts in arithmetic.

Numba renews a cached kernel when the file in which it stands changes, and only then; so a kernel's helpers
and constants stand in its own file; where they do not, `sources_digest` helps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numba

from backtest_pipeline.engine.records import ACCOUNT, SETTINGS, TRADE

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

types: Any = numba.types  # its types are built by calls that it leaves untyped

# Read-only array types accept writable arrays too, so one compiled kernel serves both.
FloatsIn = types.Array(types.float64, 1, "C", readonly=True)
IntsIn = types.Array(types.int64, 1, "C", readonly=True)
FlagsIn = types.Array(types.boolean, 1, "C", readonly=True)
FloatsOut = types.Array(types.float64, 1, "C")
IntsOut = types.Array(types.int64, 1, "C")
FlagsOut = types.Array(types.boolean, 1, "C")
SettingsIn = types.Array(numba.from_dtype(SETTINGS), 1, "C", readonly=True)
AccountOut = types.Array(numba.from_dtype(ACCOUNT), 1, "C")
TradesIn = types.Array(numba.from_dtype(TRADE), 1, "C", readonly=True)
TradesOut = types.Array(numba.from_dtype(TRADE), 1, "C")


def compiled(signature: Any = None) -> Callable[[Kernel], Kernel]:
    """Compiles a kernel for the types of its signature on import, or loads it from the cache.

    A helper of kernels has no signature; it is compiled into them. Division by zero yields infinity or NaN,
    as in NumPy.
    """
    decorator: Any = numba.njit(signature, cache=True, error_model="numpy")
    return decorator  # type: ignore[no-any-return]  # it keeps the function's type


def compiled_within(kernel: Kernel) -> Kernel:
    """Compiles a helper as a part of each kernel that calls it, and keeps it in no cache of its own.

    For helpers that call kernels of other files: a cached one would not be renewed with those.
    """
    decorator: Any = numba.njit(error_model="numpy")
    return decorator(kernel)  # type: ignore[no-any-return]  # it keeps the function's type


def sources_digest(*modules: ModuleType) -> str:
    """Digest of modules' sources, for a kernel that calls kernels which stand in them.

    Numba takes what a function closes over for a part of its key in the cache. So a kernel that is made by a
    function of this digest, and closes over it, is renewed when one of those files changes.
    """
    digest = hashlib.sha256()
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()
