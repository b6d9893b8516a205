"""Rooms combined without Dagster: run a backtest, run one again, draw its report."""
