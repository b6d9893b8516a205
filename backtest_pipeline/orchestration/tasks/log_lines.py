"""Log lines as JSON objects, for collectors: what was said, by which process where, of which task."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtest_pipeline.settings import Settings

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_about: dict[str, str | int] = {}


@contextmanager
def lines_about(facts: Mapping[str, str | int]) -> Iterator[None]:
    """Adds fields to every line of this process for the block, as the task that it is at."""
    _about.update(facts)
    try:
        yield
    finally:
        for name in facts:
            _about.pop(name, None)


def json_line(message: str, *, level: str, logger: str, at_s: float, **further: str | int) -> str:
    """One line.

    Args:
        message: what is said.
        level: as Python's logging calls it.
        logger: who says it.
        at_s: when, in seconds since 1970.
        further: fields of this line alone.
    """
    fields = {
        "time": datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "logger": logger,
        "message": message,
        "host": platform.node(),
        "process": os.getpid(),
        **_about,
        **further,
    }
    return json.dumps(fields, ensure_ascii=False)


class JsonLines(logging.Formatter):
    """Makes each record one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; of an exception its stack as well."""
        further: dict[str, str | int] = {}
        if record.exc_info and record.exc_info[0] is not None:
            further["stack"] = "".join(traceback.format_exception(*record.exc_info))
        message, level = record.getMessage(), record.levelname
        return json_line(message, level=level, logger=record.name, at_s=record.created, **further)


def log_to_stderr(settings: Settings) -> None:
    """Has this process, and those forked from it, log to its standard error in the format that is set."""
    handler = logging.StreamHandler(sys.stderr)
    is_json = settings.backtest_log_format == "json"
    handler.setFormatter(JsonLines() if is_json else logging.Formatter(_TEXT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("backtest").setLevel(logging.INFO)
