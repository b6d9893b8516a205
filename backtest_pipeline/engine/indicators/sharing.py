"""Indicators that are computed once for many backtests of the same candles.

While a memo is in use, an indicator of the candles, or of another indicator of them, is remembered by
function, arrays and arguments. What is remembered cannot be written to; strategies that might are given
copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.memo_in_use import handed_out, shared, sharing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Sequence[NDArray[Any]]

__all__ = ["IndicatorMemo", "handed_out", "shared", "sharing"]

MOST_BYTES = 128 * 2**20
_FACTOR, _SUMMAND = 6_364_136_223_846_793_005, 1_442_695_040_888_963_407  # Knuth's, modulo 2**64


class IndicatorMemo:
    """Remembers indicators of some candles, as many as there is room for.

    A key holds identities of arrays. They stay true as each entry keeps the arrays that it was made of.

    Attributes:
        copies: whether strategies get arrays of their own, to which they may write.
        bytes: of all results together.

    Args:
        most_bytes: what that may be at most, save for a single result.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.copies = True
        self._most_bytes = most_bytes
        self.bytes = 0
        self._sources: list[NDArray[Any]] = []
        self._known: set[int] = set()
        self._keys: list[tuple[Any, ...]] = []
        self._chance = 0
        self._entries: dict[tuple[Any, ...], tuple[Any, Arrays]] = {}

    def find(self, compute: Callable[..., Any], arrays: tuple[Any, ...], rest: tuple[Any, ...]) -> Any:
        """The result of a computation, remembered or new.

        Args:
            compute: the function.
            arrays: its first arguments.
            rest: its other arguments.
        """
        key = (compute, *map(id, arrays), *rest, *map(type, rest))
        try:
            entry = self._entries.get(key)
        except TypeError:  # an argument that cannot be remembered
            return compute(*arrays, *rest)
        if entry is not None:
            return entry[0]
        result = compute(*arrays, *rest)
        if self._known.issuperset(map(id, arrays)):
            self._keep(key, result, arrays)
        return result

    def begin(self, sources: Iterable[NDArray[Any]]) -> None:
        """Forgets all indicators unless the candles are still the same arrays."""
        arrays = list(sources)
        if [id(own) for own in arrays] == [id(own) for own in self._sources]:
            return
        self._entries.clear()
        self._keys.clear()
        self.bytes = 0
        self._sources = arrays
        self._known = {id(own) for own in arrays}

    def _keep(self, key: tuple[Any, ...], result: Any, arrays: Arrays) -> None:
        for own in _parts(result):
            own.flags.writeable = False
            self.bytes += own.nbytes
            self._known.add(id(own))
        self._entries[key] = (result, arrays)
        self._keys.append(key)
        while self.bytes > self._most_bytes and len(self._entries) > 1:
            self._forget()

    def _forget(self) -> None:
        """Forgets an entry by chance: a search goes round, and would always miss the oldest one next."""
        self._chance = (self._chance * _FACTOR + _SUMMAND) % 2**64
        place = (self._chance >> 33) % (len(self._keys) - 1)  # never the latest
        self._keys[place], self._keys[-1] = self._keys[-1], self._keys[place]
        result, _ = self._entries.pop(self._keys.pop())
        for own in _parts(result):
            self.bytes -= own.nbytes
            self._known.discard(id(own))


def _parts(result: Any) -> Arrays:
    return result if isinstance(result, tuple) else (result,)
