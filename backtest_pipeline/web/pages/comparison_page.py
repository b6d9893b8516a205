"""Some results side by side, drawn by the server: what differs, curves, metrics, months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.checks import any_failed
from backtest_pipeline.model.metric_catalog import common_benchmark
from backtest_pipeline.reports.charts.palette import SERIES
from backtest_pipeline.reports.compared_metrics import metric_rows
from backtest_pipeline.reports.comparison import request_differences
from backtest_pipeline.reports.html_tables import plain
from backtest_pipeline.reports.report_statistics import days_of, monthly_returns
from backtest_pipeline.web.pages.html_document import name_of, outside, wide
from backtest_pipeline.web.pages.svg_curves import level_lines, polyline, thinned
from backtest_pipeline.web.pages.wording import Wording

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import BacktestResult

    _Line = tuple[NDArray[np.float64], NDArray[np.float64], str]  # moments, values, attributes

_POINTS, _WIDTH, _HEIGHT = 600, 1_000, 320
_MOST_MONTHS = 240


def comparison_page(
    results: Mapping[str, BacktestResult],
    benchmarks: Mapping[str, NDArray[np.float64]],
    problems: list[str],
    words: Wording,
    prefix: str,
) -> str:
    """The page's body.

    Args:
        results: by task id, one or more.
        benchmarks: by task id, as long as the result's equity, of those whose candles are there.
        problems: why tasks that were asked for are missing.
        words: the reader's language.
        prefix: the path prefix of the server.
    """
    heads = _heads(results, words, prefix)
    notes = "".join(f'<p class="note warning">{outside(problem)}</p>' for problem in problems)
    return (
        f"<h1>{words('Compare')}</h1>{notes}"
        f"<section><h2>{words('What differs in the requests')}</h2>"
        f"{_differences(results, heads, words)}</section>"
        f"<section><h2>{words('Equity, from 1.0')}</h2>{_curves(results, benchmarks, words)}</section>"
        f"<section><h2>{words('Metrics')}</h2>{_metrics(results, heads, words)}</section>"
        f"<section><h2>{words('Monthly returns')}</h2>{_months(results, heads, words)}</section>"
    )


def _heads(results: Mapping[str, BacktestResult], words: Wording, prefix: str) -> str:
    cells = []
    for place, (task_id, one) in enumerate(results.items()):
        why = words("Look-ahead was found: do not believe these numbers.")
        mark = (
            ""
            if not any_failed(one.checks)
            else f'<br><span class="warning" title="{why}">⚠ {words("a check failed")}</span>'
        )
        cells.append(
            f'<th scope="col" class="number">{_swatch(place)} {place + 1}. '
            f'<a href="{outside(prefix)}/results/{outside(task_id)}">{name_of(one.request.strategy)}</a>'
            f"{mark}</th>"
        )
    return f"<thead><tr><th></th>{''.join(cells)}</tr></thead>"


def _swatch(place: int) -> str:
    return (
        f'<svg width="18" height="4"><rect width="18" height="4" fill="{SERIES[place % len(SERIES)]}"/></svg>'
    )


def _differences(results: Mapping[str, BacktestResult], heads: str, words: Wording) -> str:
    differences = request_differences({task_id: one.request.to_dict() for task_id, one in results.items()})
    if not differences:
        return f'<p class="note">{words("Nothing: all ask for the same.")}</p>'
    ordered = sorted(differences.items(), key=lambda item: not item[0].startswith("params."))
    rows = "".join(
        f'<tr><th scope="row">{name_of(field)}</th>'
        + "".join(f'<td class="number">{name_of(plain(values.get(task_id)))}</td>' for task_id in results)
        + "</tr>"
        for field, values in ordered
    )
    return wide(f"<table>{heads}<tbody>{rows}</tbody></table>", words)


def _metrics(results: Mapping[str, BacktestResult], heads: str, words: Wording) -> str:
    metrics = {task_id: one.metrics for task_id, one in results.items()}
    doubted = {task_id for task_id, one in results.items() if any_failed(one.checks)}
    benchmark = common_benchmark(one.request.benchmark for one in results.values())
    rows = []
    for row in metric_rows(metrics, doubted, benchmark):
        cells = "".join(
            f'<td class="number {cell.tone}{" best" if cell.is_best else ""}">'
            f"{'★ ' if cell.is_best else ''}{outside(words.value(row.name, cell.value))}</td>"
            for cell in row.cells
        )
        rows.append(
            f'<tr title="{outside(words.of_metric(row.facts.meaning))}">'
            f'<th scope="row">{outside(words.of_metric(row.facts.title))}</th>{cells}</tr>'
        )
    table = f"<table>{heads}<tbody>{''.join(rows)}</tbody></table>"
    return f'<p class="note">★ {words("best")}</p>{wide(table, words)}'


def _curves(
    results: Mapping[str, BacktestResult], benchmarks: Mapping[str, NDArray[np.float64]], words: Wording
) -> str:
    lines: list[_Line] = []
    dashed: list[_Line] = []
    for place, (task_id, one) in enumerate(results.items()):
        colour = SERIES[place % len(SERIES)]
        stamps = one.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
        moments = stamps.astype(np.int64).astype(np.float64)  # exact until the year 2255
        near = thinned(moments, _POINTS)
        cash = one.request.initial_cash
        equity = one.equity["equity"].to_numpy(dtype=np.float64)
        lines.append((near, thinned(equity, _POINTS) / cash, f'stroke="{colour}"'))
        if task_id in benchmarks:
            held = thinned(benchmarks[task_id], _POINTS) / cash
            dashed.append((near, held, f'class="dashed" stroke="{colour}"'))
    lines += _each_once(dashed)
    first, last = min(of[0][0] for of in lines), max(of[0][-1] for of in lines)
    low, high = min(float(of[1].min()) for of in lines), max(float(of[1].max()) for of in lines)
    drawn = "".join(
        polyline(
            (moments - first) / max(last - first, 1),
            values,
            low=low,
            high=high,
            width=_WIDTH,
            height=_HEIGHT,
            attributes=attributes,
        )
        for moments, values, attributes in lines
    )
    days = [str(np.datetime64(int(moment), "us").astype("datetime64[D]")) for moment in (first, last)]
    named = ", ".join(
        dict.fromkeys(one.request.benchmark for one in results.values() if one.request.benchmark)
    )
    legend = f" · - - - {words('benchmark')}{f' ({outside(named)})' if named else ''}" if benchmarks else ""
    return (
        f'<svg class="curves" role="img" aria-label="{words("Equity, from 1.0")}">'
        f'<svg width="100%" height="100%" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none">'
        f"{drawn}</svg>{level_lines(low, high, _HEIGHT)}</svg>"
        f'<p class="note">{days[0]} … {days[1]} · {low:.2f} … {high:.2f}{legend}</p>'
    )


def _each_once(lines: Sequence[_Line]) -> list[_Line]:
    """Benchmarks, of which one that several results have is drawn once, in grey."""
    alike: dict[tuple[bytes, bytes], list[_Line]] = {}
    for line in lines:
        alike.setdefault((line[0].tobytes(), line[1].tobytes()), []).append(line)
    return [of[0] if len(of) == 1 else (*of[0][:2], 'class="dashed shared"') for of in alike.values()]


def _months(results: Mapping[str, BacktestResult], heads: str, words: Wording) -> str:
    returns = {task_id: _by_month(one) for task_id, one in results.items()}
    months = sorted({month for of in returns.values() for month in of}, reverse=True)[:_MOST_MONTHS]
    first = next(iter(results))
    rows = []
    for month in months:
        base = returns[first].get(month)
        cells = []
        for task_id, of in returns.items():
            value = of.get(month)
            apart = (
                f" <small>({value - base:+.2%})</small>"
                if task_id != first and value is not None and base is not None
                else ""
            )
            kind = "" if not value else ("gain" if value > 0 else "loss")
            cells.append(f'<td class="number {kind}">{"-" if value is None else f"{value:z.2%}"}{apart}</td>')
        rows.append(f'<tr><th scope="row">{month[0]}-{month[1]:02d}</th>{"".join(cells)}</tr>')
    table = f"<table>{heads}<tbody>{''.join(rows)}</tbody></table>"
    return f'<p class="note">({words("difference to the first")})</p>{wide(table, words)}'


def _by_month(result: BacktestResult) -> dict[tuple[int, int], float]:
    moments = result.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    years = monthly_returns(
        days_of(moments, result.request.timeframe),
        result.equity["equity"].to_numpy(dtype=np.float64),
        result.request.initial_cash,
    )
    return {(year, month): value for year, months in years.items() for month, value in months.items()}
