"""What the disk holds: candles' folder, results by age, the instance's database."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backtest_pipeline.cli.finding import Finding
from backtest_pipeline.cli.output import shown_size
from backtest_pipeline.model.counted import counted
from backtest_pipeline.results.disk_usage import disk_report
from backtest_pipeline.storage.shared_volume import volume_problems

if TYPE_CHECKING:
    from backtest_pipeline.settings import Settings

_FEW = 5


def disk_findings(settings: Settings) -> list[Finding]:
    """Looks at DATA_ROOT and at Dagster's database; a folder that does not exist yet is made."""
    try:
        settings.data_root.mkdir(parents=True, exist_ok=True)
        problems = volume_problems(settings.data_root)
        report = disk_report(settings.data_root, datetime.now(UTC))
    except OSError as error:
        return [
            Finding(
                "DATA_ROOT",
                ok=False,
                detail=f"{settings.data_root.absolute()}: {error.strerror}; make it writable",
            )
        ]
    enough = report.free_bytes >= settings.backtest_least_free_bytes
    free = f"{settings.data_root.absolute()}, {shown_size(report.free_bytes)} free"
    advice = "" if enough else ": make room, e.g. `backtest cleanup --older-than-days 1`"
    ages = ", ".join(f"{age} {shown_size(size)}" for age, size in report.bytes_by_age.items())
    results = (
        f"{counted(report.tasks, 'task')}, {shown_size(report.total_bytes)}, "
        f"of which {shown_size(report.unpinned_bytes)} are not pinned{f'; finished {ages}' if ages else ''}"
    )
    safe = "; ".join(problems) or "files are renamed, locked and synced as they should be"
    findings = [
        Finding("DATA_ROOT", ok=enough, detail=free + advice),
        Finding("volume", ok=not problems, detail=safe),
        Finding("results", ok=True, detail=results),
    ]
    if report.oldest:
        oldest = ", ".join(f"{one.name} ({one.finished_at:%Y-%m-%d})" for one in report.oldest)
        findings.append(Finding("oldest results", ok=True, detail=oldest))
    if report.foreign:
        size = sum(one.size_bytes for one in report.foreign)
        names = ", ".join(one.name for one in report.foreign[:_FEW])
        detail = f"{len(report.foreign):,}, {shown_size(size)}, never deleted by a cleanup: {names}"
        findings.append(Finding("foreign results", ok=True, detail=detail))
    return [*findings, _database(settings)]


def _database(settings: Settings) -> Finding:
    if os.environ.get("DAGSTER_PG_HOST"):
        return _postgres()
    files = [path for path in settings.dagster_home.rglob("*.db*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return Finding(
        "instance database", ok=True, detail=f"SQLite in {settings.dagster_home}, {shown_size(size)}"
    )


def _postgres() -> Finding:
    import psycopg2  # noqa: PLC0415  comes with the extra `postgres`

    names = {"host": "HOST", "port": "PORT", "user": "USERNAME", "password": "PASSWORD", "dbname": "DB"}
    address = {name: os.environ.get(f"DAGSTER_PG_{variable}", "") for name, variable in names.items()}
    where = f"PostgreSQL {address['dbname']} on {address['host']}"
    try:
        with closing(psycopg2.connect(connect_timeout=5, **address)) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT pg_database_size(current_database())")
            size = int(cursor.fetchone()[0])
    except psycopg2.Error as error:
        reason = str(error).partition("\n")[0]
        return Finding("instance database", ok=False, detail=f"{where}: {reason}; start it")
    return Finding("instance database", ok=True, detail=f"{where}, {shown_size(size)}")
