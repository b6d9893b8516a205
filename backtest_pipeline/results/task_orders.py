"""Whole orders of the index of manifests, for pages far behind the first.

SQLite keeps the best rows of a query with a limit in a sorter, which is quick for the first pages; far behind
them, sorting once and for all takes half the time, and the next page none.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import OrderedDict
from typing import Any

MOST_ORDERS = 8
"""Of 100,000 tasks each takes 0.8 MB."""


class TaskOrders:
    """Row numbers in the orders that were asked for last, as long as the index stays as it is."""

    def __init__(self) -> None:
        self._orders: OrderedDict[tuple[Any, ...], array[int]] = OrderedDict()
        self._seen: object = None

    def of(
        self, database: sqlite3.Connection, state: object, where: str, values: list[Any], clause: str
    ) -> array[int]:
        """All row numbers that a condition lets through, in order.

        Args:
            database: has the table.
            state: changes whenever a row may have; what is known of another state is forgotten.
            where: the condition.
            values: those of the condition.
            clause: what stands behind `ORDER BY`.
        """
        if state != self._seen:
            self._orders.clear()
            self._seen = state
        key = (where, *values, clause)
        if key not in self._orders:
            cursor = database.cursor()
            cursor.row_factory = None  # plain tuples, of which 100,000 take half the time
            cursor.execute(f"SELECT rowid FROM tasks WHERE {where} ORDER BY {clause}", values)  # noqa: S608  made of our names
            self._orders[key] = array("q", [row[0] for row in cursor])
        self._orders.move_to_end(key)
        while len(self._orders) > MOST_ORDERS:
            self._orders.popitem(last=False)
        return self._orders[key]
