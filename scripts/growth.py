"""Latency of a pipeline whose database holds many finished runs, beside one with a few; started by `growth`.

One run is completed, and its rows (the run, its tags, its events) are copied under other ids, a year back.
"""

from __future__ import annotations

import argparse
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from scratch_service import database_env, say, table, unwind_on_terminate
from service_measures import percentile
from service_targets import DagsterTarget, ours
from sqlalchemy import Engine, MetaData, Table, create_engine, insert, inspect, select, text

RUNS = {"sqlite": 20_000, "postgres": 100_000}
_DAYS = 365
_AT_ONCE = 500
_TIMES = 40
_STATUSES = 200
_MOMENTS = ("create_timestamp", "update_timestamp", "timestamp")
_SECONDS = ("start_time", "end_time")


def main() -> None:
    """Measures before and after the runs are there."""
    options = _options()
    unwind_on_terminate()
    count = options.runs or RUNS[options.database]
    with database_env(options.database) as database, ours(database=database) as target:
        first = target.submit()
        target.scene.client.wait(first)
        few = _measured(target)
        began = time.perf_counter()
        _copy(target, database, first, count)
        say(f"{count:,} finished runs were made in {time.perf_counter() - began:.0f} s")
        many = _measured(target)
    rows = [(what, f"{few[what]:>7.0f} ms  {many[what]:>7.0f} ms") for what in few]
    say(table([("p95 of", f"a few runs  {count:,} runs, {options.database}"), *rows]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, help="how many; 20,000 by default, of PostgreSQL 100,000")
    parser.add_argument(
        "--postgres", dest="database", action="store_const", const="postgres", default="sqlite"
    )
    return parser.parse_args()


def _measured(target: DagsterTarget) -> dict[str, float]:
    """What takes how long, in milliseconds: the 95th percentile."""
    client = target.scene.client
    submitted: list[str] = []
    found = {"submit": _p95_ms(lambda: submitted.append(target.submit()))}
    client.wait_many(submitted)
    newest = [task.task_id for task in client.list_tasks(limit=_STATUSES)]
    found |= {
        "submit, until it has completed": _p95_ms(lambda: client.wait(target.submit()), times=10),
        "status of one task": _p95_ms(lambda: client.status(newest[0])),
        f"statuses, of at most {_STATUSES} tasks": _p95_ms(lambda: client.statuses(newest)),
        "list, the newest 40": _p95_ms(lambda: client.list_tasks(limit=40)),
        "list, 40 of a strategy": _p95_ms(lambda: client.list_tasks(strategy="sma_cross", limit=40)),
        "list, those that run": _p95_ms(lambda: client.list_tasks(state="running", limit=40)),
    }
    return found


def _p95_ms(work: Callable[[], object], times: int = _TIMES) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(1_000 * (time.perf_counter() - began))
    return percentile(taken, 95)


def _copy(target: DagsterTarget, database: Mapping[str, str], run_id: str, count: int) -> None:
    """Copies all rows of a run, each time under a new id and at an earlier moment."""
    for url in _databases(target.scene.folder / "home", database):
        engine = create_engine(url)
        there = set(inspect(engine).get_table_names())
        for name in [name for name in ("runs", "run_tags", "event_logs") if name in there]:
            _copy_rows(engine, name, run_id, count)
        if not database:  # as it is after any quiet moment; one writer leaves all in the log
            with engine.connect() as connection:
                connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        engine.dispose()


def _databases(home: Path, database: Mapping[str, str]) -> list[str]:
    if not database:
        return [f"sqlite:///{path}" for path in sorted(home.rglob("*.db"))]
    names = ("USERNAME", "PASSWORD", "HOST", "PORT", "DB")
    user, password, host, port, name = (database[f"DAGSTER_PG_{one}"] for one in names)
    return [f"postgresql+psycopg2://{user}:{password}@{host}:{port}/{name}"]


def _copy_rows(engine: Engine, name: str, run_id: str, count: int) -> None:
    of = Table(name, MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(select(of).where(of.c.run_id == run_id)).mappings()]
    for few in _portions(count):
        copies = [_copied(row, run_id, number, count) for number in few for row in rows]
        with engine.begin() as connection:
            connection.execute(insert(of), copies)


def _portions(count: int) -> Iterator[range]:
    for first in range(0, count, _AT_ONCE):
        yield range(first, min(first + _AT_ONCE, count))


def _copied(row: Mapping[str, Any], run_id: str, number: int, count: int) -> dict[str, Any]:
    """A row as of another run: the older, the smaller its number, so that new runs stay the newest."""
    back = timedelta(days=_DAYS * (count - number) / count)
    new_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run_id} {number}"))
    copy: dict[str, Any] = {}
    for name, value in row.items():
        if name == "id":
            continue
        if value is None:
            copy[name] = None
        elif name in _MOMENTS:
            copy[name] = value - back
        elif name in _SECONDS:
            copy[name] = value - back.total_seconds()
        elif isinstance(value, str):
            copy[name] = value.replace(run_id, new_id)  # also inside of what was serialised
        else:
            copy[name] = value
    return copy


if __name__ == "__main__":
    main()
