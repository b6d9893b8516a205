"""What each metric means and how it is written, for everyone who shows one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Unit = Literal["fraction", "ratio", "count", "money", "days", "bars"]
Better = Literal["more", "less", "neither"]
Family = Literal["Return", "Risk", "Trades", "Benchmark", "Signals by themselves", "Calendar"]

MISSING = "-"
BUY_AND_HOLD = "buy and hold"

# Beyond this, a number is only longer, not more informative; annualising a single good bar gets there.
LONGEST_WRITTEN_OUT = 1e12


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """What a reader has to know about a metric.

    Attributes:
        title: its name for people.
        meaning: one line on what it is and how it is computed.
        unit: what it is counted in; a fraction is shown as percent.
        better: which direction is good, if any.
        family: what it measures.
    """

    title: str
    meaning: str
    unit: Unit
    better: Better
    family: Family


METRICS: dict[str, MetricFacts] = {
    "total_return": MetricFacts(
        "Total return", "Final equity over initial cash, minus one.", "fraction", "more", "Return"
    ),
    "cagr": MetricFacts(
        "Annual return (CAGR)",
        "The steady yearly growth from initial cash to final equity, by elapsed time; none under 30 days.",
        "fraction",
        "more",
        "Return",
    ),
    "annual_volatility": MetricFacts(
        "Annual volatility",
        "Standard deviation of the bars' returns, times the root of the bars a year; none under 30 days.",
        "fraction",
        "less",
        "Risk",
    ),
    "sharpe": MetricFacts(
        "Sharpe ratio",
        "Mean over standard deviation of the returns, annualised, risk-free rate 0; none under 30 days.",
        "ratio",
        "more",
        "Risk",
    ),
    "sortino": MetricFacts(
        "Sortino ratio",
        "Like the Sharpe ratio, but only bars that lose count as risk.",
        "ratio",
        "more",
        "Risk",
    ),
    "calmar": MetricFacts(
        "Calmar ratio", "Annual return over the maximum drawdown.", "ratio", "more", "Risk"
    ),
    "max_drawdown": MetricFacts(
        "Maximum drawdown",
        "The deepest fall of the equity below its highest value until then.",
        "fraction",
        "less",
        "Risk",
    ),
    "max_drawdown_days": MetricFacts(
        "Longest drawdown",
        "Calendar days of the longest stretch from a peak to its recovery, or to the end without one.",
        "days",
        "less",
        "Risk",
    ),
    "avg_drawdown": MetricFacts(
        "Average drawdown",
        "Mean of the deepest falls of all stretches from a peak to its recovery.",
        "fraction",
        "less",
        "Risk",
    ),
    "exposure": MetricFacts(
        "Exposure", "Share of the bars at whose close a position is open.", "fraction", "neither", "Trades"
    ),
    "trades": MetricFacts(
        "Trades",
        "Positions that were opened, one that the data's end leaves open among them.",
        "count",
        "neither",
        "Trades",
    ),
    "win_rate": MetricFacts(
        "Win rate", "Share of the trades that gained after fees.", "fraction", "more", "Trades"
    ),
    "avg_trade_return": MetricFacts(
        "Average trade",
        "Mean over the trades of profit or loss after fees, over the money put in.",
        "fraction",
        "more",
        "Trades",
    ),
    "best_trade_return": MetricFacts(
        "Best trade", "The highest return of one trade, after fees.", "fraction", "more", "Trades"
    ),
    "worst_trade_return": MetricFacts(
        "Worst trade", "The lowest return of one trade, after fees.", "fraction", "more", "Trades"
    ),
    "profit_factor": MetricFacts(
        "Profit factor",
        "Sum of all gains over the sum of all losses; none without a loss.",
        "ratio",
        "more",
        "Trades",
    ),
    "expectancy": MetricFacts(
        "Expectancy", "Mean profit or loss of a trade, in quote currency.", "money", "more", "Trades"
    ),
    "sqn": MetricFacts(
        "System quality (SQN)",
        "Mean profit of a trade over its standard deviation, times the square root of the number of trades.",
        "ratio",
        "more",
        "Trades",
    ),
    "kelly": MetricFacts(
        "Kelly share",
        "Share of the equity that would have grown fastest; win rate less loss rate over payoff.",
        "fraction",
        "more",
        "Trades",
    ),
    "avg_bars_held": MetricFacts(
        "Average holding", "Mean number of bars from entry to exit.", "bars", "neither", "Trades"
    ),
    "fees_paid": MetricFacts("Fees paid", "Of all orders, in quote currency.", "money", "less", "Trades"),
    "final_equity": MetricFacts(
        "Final equity",
        "Cash plus positions at the last close, in quote currency.",
        "money",
        "more",
        "Return",
    ),
    "peak_equity": MetricFacts(
        "Peak equity", "The highest equity at any close, in quote currency.", "money", "more", "Return"
    ),
    "buy_hold_return": MetricFacts(
        "Buy and hold",
        "Return of buying each symbol with its share of the cash at its first close and holding it; no fees.",
        "fraction",
        "neither",
        "Benchmark",
    ),
    "alpha": MetricFacts(
        "Alpha",
        "Yearly return beyond what the exposure to buy and hold explains (Jensen).",
        "fraction",
        "more",
        "Benchmark",
    ),
    "beta": MetricFacts(
        "Beta",
        "How far the account moves with buy and hold: 1 as far, 0 not at all.",
        "ratio",
        "neither",
        "Benchmark",
    ),
    "value_at_risk_95": MetricFacts(
        "Value at risk (95 %)",
        "The loss that one bar in twenty exceeds.",
        "fraction",
        "less",
        "Risk",
    ),
    "skew": MetricFacts(
        "Skew",
        "Asymmetry of the bars' returns: negative where large losses are likelier than large gains.",
        "ratio",
        "neither",
        "Risk",
    ),
    "kurtosis": MetricFacts(
        "Excess kurtosis",
        "Weight of extreme returns beyond the normal distribution's, which has 0.",
        "ratio",
        "neither",
        "Risk",
    ),
    "signals": MetricFacts(
        "Signals",
        "Entries that the strategy asked for, whether or not a position was opened.",
        "count",
        "neither",
        "Signals by themselves",
    ),
    "signal_win_rate": MetricFacts(
        "Signal win rate",
        "Share of the signals with an exit whose price went the right way, before fees.",
        "fraction",
        "more",
        "Signals by themselves",
    ),
    "signal_avg_return": MetricFacts(
        "Average signal",
        "Mean return of the signals with an exit, from close to close, before fees.",
        "fraction",
        "more",
        "Signals by themselves",
    ),
    "signal_max_drawdown": MetricFacts(
        "Signal drawdown",
        "The deepest fall of what one after another of the signals would have made of 1, compounded.",
        "fraction",
        "less",
        "Signals by themselves",
    ),
    "periods_per_year": MetricFacts(
        "Bars a year",
        "By which returns are annualised: 365 days or 252 sessions by the calendar, times a session's bars.",
        "bars",
        "neither",
        "Calendar",
    ),
}


def facts_of(name: str, benchmark: str | None = None) -> MetricFacts:
    """A metric's facts; those of a metric that this version does not know are its name alone.

    Args:
        name: the metric's.
        benchmark: the request's, after which metrics against it are called.
    """
    facts = METRICS.get(name) or MetricFacts(name, "", "ratio", "neither", "Return")
    if benchmark is None or facts.family != "Benchmark":
        return facts
    if name != "buy_hold_return":
        return replace(facts, meaning=facts.meaning.replace(BUY_AND_HOLD, benchmark))
    title = f"{benchmark[0].upper()}{benchmark[1:]}, bought and held"
    meaning = f"Return of buying {benchmark} at the close known at the first bar and holding it; no fees."
    return replace(facts, title=title, meaning=meaning)


def benchmark_name(benchmark: str | None) -> str:
    """What people read where an account is measured against a request's `benchmark`."""
    return benchmark or BUY_AND_HOLD


def common_benchmark(benchmarks: Iterable[str | None]) -> str | None:
    """What several requests' metrics are called after: the benchmark of all, or that each has its own."""
    found = set(benchmarks)
    return found.pop() if len(found) == 1 else "the benchmark"


def shown(name: str, value: float | None) -> str:
    """Writes a metric for people: the same digits wherever it is shown.

    Fractions are percent with two digits, money and ratios have two digits, counts none; days and bars have
    two where they are not whole. Nothing is written as minus zero.
    """
    if value is None:
        return MISSING
    unit = facts_of(name).unit
    if unit == "fraction":
        return f"{value:z,.2%}" if abs(value) < LONGEST_WRITTEN_OUT else f"{100 * value:.2e}%"
    if abs(value) >= LONGEST_WRITTEN_OUT:
        return f"{value:.2e}"
    whole = unit == "count" or (unit in {"days", "bars"} and float(value).is_integer())
    return f"{value:z,.0f}" if whole else f"{value:z,.2f}"


def shown_with_unit(name: str, value: float | None) -> str:
    """The same with its unit, where that is days or bars: "31 days", "1 bar"."""
    text, unit = shown(name, value), facts_of(name).unit
    if value is None or unit not in {"days", "bars"}:
        return text
    return f"{text} {unit.removesuffix('s') if text == '1' else unit}"


def unit_of(name: str) -> str:
    """What a metric is counted in, for a column of its own; empty where the number itself says it."""
    return {"money": "quote currency", "days": "days", "bars": "bars"}.get(facts_of(name).unit, "")


def shown_symbols(symbols: Sequence[str], most: int = 10) -> str:
    """The symbols for people: all, or the first of them and how many more."""
    more = len(symbols) - most
    return ",".join(symbols[:most]) + (f" and {more} more" if more > 0 else "")
