"""The service's figures as tables and as a graph, for the terminal and for the pages in docs/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bar_chart import Panel, svg

OURS = "this pipeline"
_HEAD = (
    "service",
    "p50 s",
    "p95 s",
    "a client sees it, p50 s",
    "per minute",
    "most at once",
    "idle MiB",
    "worker MiB",
    "backtests",
)


def tables(figures: dict[str, Any]) -> str:
    """All figures as Markdown."""
    queue = _markdown(("queue", ""), _queue_rows(figures["queue"]))
    return f"{services_table(figures)}\n\n{queue}"


def services_table(figures: dict[str, Any]) -> str:
    """The services side by side, and on what they were measured."""
    machine = figures["machine"]
    rows = [_row(name, of_service) for name, of_service in _services(figures).items()]
    conditions = (
        f"Measured on {machine['measured_on']}: {machine['cores']} cores (load before: "
        f"{machine['load_before']}), {machine['platform']}, Python {machine['python']}, Dagster "
        f"{machine['dagster']}, RQ {machine['rq']}, Celery {machine['celery']}, {machine['database']}; "
        f"{machine['candles']:,} candles a backtest, {machine['workers']} at once."
    )
    left_out = "".join(f"\n\nLeft out: {name} ({why})." for name, why in figures.get("left_out", {}).items())
    return f"{conditions}\n\n{_markdown(_HEAD, rows)}{left_out}"


def write_docs(figures: dict[str, Any], docs: Path) -> None:
    """Replaces the tables of the figures' database in performance.md.

    Where there are rivals, the graph and the table in technology-choice.md as well.

    Raises:
        ValueError: a page has no place for them.
    """
    _replace(docs / "performance.md", f"service {figures['machine']['database']}", tables(figures))
    if "rivals" in figures:
        _replace(docs / "technology-choice.md", "rivals", services_table(figures))
        (docs / "images" / "performance-service.svg").write_text(graph(figures))


def _replace(page: Path, what: str, text: str) -> None:
    begin, end = (f"<!-- {edge} {what} -->" for edge in ("begin", "end"))
    before, found, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{page} has no lines {begin} and {end} to put the tables between")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def graph(figures: dict[str, Any]) -> str:
    """Latency and throughput of all services as an SVG picture."""
    services = _services(figures)
    latencies = {name: of["latency"]["completed_p50_s"] for name, of in services.items()}
    rates = {name: of["throughput"]["per_minute"] for name, of in services.items()}
    return svg(
        [
            Panel(
                "Submitted to completed on an idle system, median, in seconds (less is better)", latencies, 2
            ),
            Panel("Backtests a minute, two at once (more is better)", rates, 0),
        ],
        highlighted=OURS,
    )


def _services(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {OURS: figures["ours"], **figures.get("rivals", {})}


def _row(name: str, of_service: dict[str, Any]) -> tuple[str, ...]:
    latency, throughput = of_service["latency"], of_service["throughput"]
    memory = of_service["memory"]
    most = throughput["most_at_once"]
    return (
        name,
        f"{latency['completed_p50_s']:.2f}",
        f"{latency['completed_p95_s']:.2f}",
        f"{latency['seen_p50_s']:.2f}",
        f"{throughput['per_minute']:.0f}",
        "" if most is None else str(most),
        f"{memory['idle_pss_mib']:.0f}",
        f"{memory['worker_private_mib']:.0f}",
        f"{latency['backtests']} + {throughput['backtests']}",
    )


def _queue_rows(queue: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        ("tasks in the queue at the end", f"{queue['tasks']:,}"),
        ("`submit`, one after another", f"{queue['submitted_per_s']:.0f} a second"),
        ("`submit_many`", f"{queue['submit_many_per_s']:.0f} a second"),
        (
            f"`statuses` of {queue['status_of']} tasks in one call, p50 / p95",
            f"{queue['status_p50_ms']:.0f} / {queue['status_p95_ms']:.0f} ms",
        ),
    ]


def _markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" if column == 0 else "--:" for column in range(len(head))), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
